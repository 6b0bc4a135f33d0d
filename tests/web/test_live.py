"""The live stream over real sockets: every fact once, in order, also after a daemon that was killed."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from hyperhive.commands.messages import SendMessage
from hyperhive.events.envelope import OPERATOR
from hyperhive.projections.history import History
from hyperhive.web import live
from tests.commands.desk import Desk
from tests.served import Served, place
from tests.web.browser import token_of
from tests.web.seated import seated
from tests.web.wire import Event, Stream, until_closed


def write(served: Served, count: int) -> int:
    """Let so many things happen; return the position of the last."""
    return int(
        [served.ask("send", name="coder", body=f"message {number}") for number in range(count)][-1]["message_id"]
    )


class TestStream:
    """A stream of a real daemon."""

    def test_story(self) -> None:
        """From now on, then after a position; through a restart without gap or repeat; its end at SIGTERM."""
        with place() as served:
            served.serve("--set", "crash_watch.interval_seconds=600")
            served.ask("spawn", name="coder")
            served.until(
                "coder runs", lambda: any(row["running"] for row in served.ask("agent_status")["agent_statuses"])
            )
            served.ask("set_paused", name="coder", paused=True)
            token = token_of(served)
            stream = Stream.open(served.port, token)
            opening = stream.event()
            assert opening is not None
            assert (opening.name, opening.id) == ("open", None)
            last = write(served, 3)
            told = stream.facts(last)
            assert [event.id for event in told] == list(range(told[0].id or 0, last + 1))
            assert told[0].id == opening.data["position"] + 1
            stream.close()
            missed = write(served, 5)
            assert served.stop(signal.SIGKILL).code == -signal.SIGKILL
            served.serve("--set", "crash_watch.interval_seconds=600")
            again = Stream.open(served.port, token, after=last)
            later = write(served, 2)
            events = again.facts(later)
            assert missed < later
            self._is_the_log(served, told + events)
            assert served.daemon is not None
            served.daemon.send_signal(signal.SIGTERM)
            while again.event() is not None:
                pass
            assert served.ended().code == 0

    def _is_the_log(self, served: Served, events: list[Event]) -> None:
        facts = {fact["position"]: fact for fact in served.facts()}
        assert [event.id for event in events] == list(range(events[0].id or 0, (events[-1].id or 0) + 1))
        for event in events:
            fact = facts[event.id or 0]
            assert {name: event.data[name] for name in ("position", "type", "stream", "at", "actor")} == {
                name: fact[name] for name in ("position", "type", "stream", "at", "actor")
            }
            assert "body" not in event.data
            if fact["type"] == "MessageSent":
                assert event.data["agent"] == "coder"
                assert {"messages", "activity", "swarm"} <= set(event.data["touches"])
                assert "questions" not in event.data["touches"]

    def test_whose_key_ends(self) -> None:
        """A stream ends with the key that it was opened with; others go on."""
        with place() as served:
            served.serve()
            key = served.ask("operator_add", name="bob", role="viewer")["link"].partition("#login=")[2]
            his, mine = Stream.open(served.port, key), Stream.open(served.port, token_of(served))
            served.ask("operator_remove", name="bob")
            events = []
            while (event := his.event()) is not None:
                events.append(event.data.get("type"))
            assert events[-1] in {"OperatorAdded", None}
            last = served.facts("operator-bob")[-1]["position"]
            assert mine.facts(last)[-1].data["actor"] == "operator"

    @pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 40, "1;2"])
    def test_no_position(self, hive_db: Path, given: str) -> None:
        """What is no position is refused, rather than taken for the beginning."""
        answer = seated(hive_db).ask("/events", last_event_id=given)
        assert (answer.status, b"a position of the log is right" in answer.body) == (422, True)


class Reader:
    """An ASGI client of a stream, which reads as fast as it is let."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.left = asyncio.Event()
        self.cut = self.left.set
        self.came = asyncio.Event()

    async def send(self, message: Any) -> None:
        """Take what is sent, once it may."""
        await self.may_read.wait()
        self.sent.append(message.get("body", b""))
        self.came.set()

    async def receive(self) -> Any:
        """Leave."""
        await self.left.wait()
        return {"type": "http.disconnect"}

    def ids(self) -> list[int]:
        """Return the positions that came."""
        lines = b"".join(self.sent).split(b"\n")
        return [int(line[4:]) for line in lines if line.startswith(b"id: ")]

    async def until(self, position: int) -> None:
        """Wait until a position has come."""
        while not self.ids() or self.ids()[-1] < position:
            await self.more()

    async def more(self) -> None:
        """Wait until something has come."""
        self.came.clear()
        await self.came.wait()


def feed_of(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> live.Feed:
    """Return a feed that holds few frames, so that files are read."""
    monkeypatch.setattr(live, "HELD", 16)
    monkeypatch.setattr(live, "BATCH", 8)
    return live.Feed(desk.dispatcher, History(desk.path), lambda _type: ("activity",))


async def happen(desk: Desk, count: int) -> int:
    """Let so many messages be sent; return the last position."""
    for number in range(count):
        await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="operator", body=f"{number}"))
    return desk.hive.position


def run(story: Any) -> None:
    """Run a story."""
    asyncio.run(asyncio.wait_for(story, timeout=30))


class TestFeed:
    """What all streams share."""

    def test_from_the_file(self, hive_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """From wherever a stream begins, it gets every position once: from the file, from memory, and live."""
        desk = Desk(hive_db)

        async def story() -> None:
            await happen(desk, 30)
            feed = feed_of(desk, monkeypatch)
            last = await happen(desk, 40)
            readers = {after: Reader() for after in (0, 1, 7, last - 17, last - 16, last - 8, last - 1, last)}
            tasks = [
                asyncio.create_task(live.Stream(feed, after, lambda: True)({}, reader.receive, reader.send))
                for after, reader in readers.items()
            ]
            await asyncio.sleep(0)
            end = await happen(desk, 20)
            for after, reader in readers.items():
                await reader.until(end)
                assert reader.ids() == list(range(after + 1, end + 1)), after
            desk.dispatcher.release()
            await asyncio.gather(*tasks)
            assert all(reader.sent[-1] == b"" for reader in readers.values())
            assert feed.streams == set()

        run(story())

    def test_slow_reader(self, hive_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A reader that takes nothing holds up nobody and is remembered by nothing but its place; then it goes on."""
        desk = Desk(hive_db)

        async def story() -> None:
            feed = feed_of(desk, monkeypatch)
            slow, quick = Reader(), Reader()
            for reader in (slow, quick):
                task = asyncio.create_task(live.Stream(feed, 0, lambda: True)({}, reader.receive, reader.send))
                reader.task = task  # type: ignore[attr-defined]
            await asyncio.sleep(0)
            slow.may_read.clear()
            end = await happen(desk, 200)
            await quick.until(end)
            assert slow.ids() == []
            assert len(feed._frames) == 16
            slow.may_read.set()
            await slow.until(end)
            assert slow.ids() == list(range(1, end + 1))
            desk.dispatcher.release()
            await asyncio.gather(slow.task, quick.task)  # type: ignore[attr-defined]

        run(story())

    def test_stalled(self, hive_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that takes nothing for too long is cut off; a quiet one hears a comment at each beat."""
        desk = Desk(hive_db)
        monkeypatch.setattr(live, "BEAT_SECONDS", 0.01)
        monkeypatch.setattr(live, "STALLED_SECONDS", 0.02)

        async def story() -> None:
            feed = feed_of(desk, monkeypatch)
            stalled, quiet = Reader(), Reader()
            stalled.may_read.clear()
            tasks = [
                asyncio.create_task(
                    live.Stream(feed, None, lambda: True)({"hyperhive.connection": reader}, reader.receive, reader.send)
                )
                for reader in (stalled, quiet)
            ]
            await stalled.left.wait()
            stalled.may_read.set()
            await tasks[0]
            while b":\n\n" not in quiet.sent:
                await quiet.more()
            quiet.left.set()
            await tasks[1]
            assert feed.streams == set()

        run(story())

    def test_another_log(self, hive_db: Path) -> None:
        """A position that the log has not reached is told to begin anew: this is another log than the reader's."""
        desk = Desk(hive_db)

        async def story() -> None:
            await happen(desk, 3)
            feed = live.Feed(desk.dispatcher, History(desk.path), lambda _type: ())
            reader = Reader()
            task = asyncio.create_task(live.Stream(feed, 99, lambda: True)({}, reader.receive, reader.send))
            end = await happen(desk, 2)
            await reader.until(end)
            assert b"".join(reader.sent).startswith(b'event: reset\ndata: {"position":3}\n\nid: 4\n')
            reader.left.set()
            await task

        run(story())


def test_hundreds_of_hangups() -> None:
    """Readers that come and go leave nothing behind."""
    with place() as served:
        served.serve()
        token = token_of(served)
        for _ in range(150):
            Stream.open(served.port, token).close()
        served.until("all are gone", lambda: "hyperhive_streams_open 0\n" in metrics(served))


def metrics(served: Served) -> str:
    """Read the daemon's figures."""
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        request = f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nConnection: close\r\n"
        connection.sendall(f"{request}Authorization: Bearer {token_of(served)}\r\n\r\n".encode())
        return until_closed(connection).decode()
