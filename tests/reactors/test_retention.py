"""Retention: what is old and done with goes; what waits stays, and so does the log."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from structlog.testing import capture_logs

from hyperhive.commands.agents import DestroyAgent, ReportOutcome
from hyperhive.commands.daemon import CreateHive
from hyperhive.commands.messages import AcknowledgeMail, SendMessage, TakeMail
from hyperhive.commands.retention import ForgetMessages
from hyperhive.config import RetentionConfig
from hyperhive.events.envelope import DAEMON, OPERATOR, actor_of_agent
from hyperhive.events.hive import MessagesForgotten, StreamsTrimmed
from hyperhive.events.stream_store import StreamStore
from hyperhive.projections.history import History
from hyperhive.reactors import retention
from hyperhive.reactors.retention import DAY_MICROSECONDS, Retention
from hyperhive.replay.verify import verify
from hyperhive.sockets.streams import TurnStreams
from tests.commands.desk import Desk
from tests.reactors.stage import full, run

CODER = actor_of_agent("coder")


@attrs.define
class Scene:
    """A hive with the reactor, and the files of its agents' turn streams."""

    desk: Desk
    directory: Path
    streams: TurnStreams
    reactor: Retention

    def later(self, days: float) -> None:
        """Let time pass."""
        self.desk.now += round(days * DAY_MICROSECONDS)

    async def send(self, *bodies: str) -> None:
        """Write to the coder."""
        for body in bodies:
            await self.desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="coder", body=body))

    async def deliver(self, *bodies: str) -> None:
        """Write to the coder, who takes and acknowledges all that is there."""
        await self.send(*bodies)
        (taken,) = await self.desk.dispatcher.dispatch(TakeMail(actor=CODER, to="coder"))
        await self.desk.dispatcher.dispatch(AcknowledgeMail(actor=CODER, to="coder", ids=taken.event.ids))

    def inbox(self, name: str = "coder") -> list[str]:
        """Return what an inbox shows of what people wrote, read or not."""
        history = History(self.desk.path)
        try:
            return [row.body for row in history.recent(name, 5_000) if row.sender != "system"][::-1]
        finally:
            history.close()

    def facts(self, kind: type) -> list[Any]:
        """Return the facts of one type."""
        found = [recorded.event for recorded in self.desk.log.read(1, self.desk.hive.position)]
        return [fact for fact in found if isinstance(fact, kind)]

    def path(self, name: str) -> Path:
        """Name an agent's stream file."""
        return self.directory / f"{name}.sqlite"

    async def say(self, name: str, run: str, first: int, count: int, text: str = "x") -> int:
        """Append to an agent's stream; what each event says of its time is a lie."""
        events = [{"at": "1999-01-01T00:00:00Z", "type": "text", "data": {"text": text}}] * count
        return await self.streams.append(name, run, first, events)

    def numbers(self, name: str) -> list[int]:
        """Return the numbers that a stream still holds."""
        store = StreamStore(self.path(name))
        try:
            return [event.number for event in store.read(limit=10_000)]
        finally:
            store.close()


@pytest.fixture
def scene(hive_db: Path, tmp_path: Path) -> Iterator[Scene]:
    """Return a hive in which the coder runs."""
    desk = Desk(hive_db)
    streams = TurnStreams(lambda name: tmp_path / f"{name}.sqlite", clock=lambda: desk.now)
    limits = RetentionConfig(delivered_days=30, stream_days=7, stream_events=20)
    reactor = Retention(desk.dispatcher, hive_db, streams, limits, clock=lambda: desk.now)
    with contextlib.closing(streams):
        yield Scene(desk, tmp_path, streams, reactor)


async def begin(scene: Scene, *names: str) -> None:
    """Let agents run."""
    await scene.desk.dispatcher.dispatch(CreateHive(actor=DAEMON, hive="test"))
    await scene.desk.spawn("coder", *names)


class TestMessages:
    """Delivered messages leave their inboxes, thirty days after their delivery."""

    def test_only_old_and_delivered(self, scene: Scene) -> None:
        """What was delivered over 30 days ago goes; what was delivered later, and what waits however long, stays."""

        async def story() -> None:
            await begin(scene)
            await scene.deliver("old")
            scene.later(20)
            await scene.deliver("young")
            await scene.send("waits")
            scene.later(10)
            await scene.reactor.tick()
            assert scene.inbox() == ["old", "young", "waits"], "it is 30 days to the microsecond"
            scene.desk.now += 1
            await scene.reactor.tick()
            assert scene.inbox() == ["young", "waits"]
            scene.later(4_000)
            await scene.reactor.tick()
            assert scene.inbox() == ["waits"]

        run(story())

    def test_parked(self, scene: Scene) -> None:
        """A parked message stays until the operator has seen to it."""

        async def story() -> None:
            await begin(scene)
            await scene.send("tiring")
            for _ in range(6):
                await scene.desk.dispatcher.dispatch(TakeMail(actor=CODER, to="coder"))
            assert any(row.parked_at for row in scene.desk.hive.messages.values())
            scene.later(400)
            await scene.reactor.tick()
            assert scene.inbox() == ["tiring"]

        run(story())

    def test_purged_recipient(self, scene: Scene) -> None:
        """What nobody can deliver any more, because its recipient was purged, goes as what was delivered does."""

        async def story() -> None:
            await begin(scene)
            await scene.send("too late")
            (asked,) = await scene.desk.dispatcher.dispatch(DestroyAgent(actor=OPERATOR, agent="coder", purge=True))
            await scene.desk.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=asked.position))
            scene.later(29)
            await scene.reactor.tick()
            assert scene.inbox() == ["too late"]
            scene.later(2)
            await scene.reactor.tick()
            assert scene.inbox() == []

        run(story())

    def test_views_still_follow_from_the_log(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        """After any sweep the tables are what the log folds to, in whatever batches; memory and facts are untouched."""

        async def story() -> None:
            await begin(scene)
            for day in range(40):
                await scene.deliver(f"day {day}")
                if day % 3 == 0:
                    await scene.reactor.tick()
                scene.later(1.5)
            await scene.send("waits")
            await scene.reactor.tick()
            assert 0 < len(scene.inbox()) < 40

        run(story())
        for batch in (1, 3, 10_000):
            monkeypatch.setattr("hyperhive.projections.mirror.REBUILD_BATCH", batch)
            assert verify(scene.desk.path).position == scene.desk.hive.position
        assert scene.desk.loaded().rows == scene.desk.hive.rows
        assert len([fact for fact in scene.facts(object) if type(fact).__name__ == "MessageSent"]) == 41

    def test_a_batch_of_its_own_past(self, scene: Scene) -> None:
        """A message that is delivered in the batch that forgets goes or stays by its own time, in table and replay."""

        async def story() -> None:
            await begin(scene)
            await scene.send("a", "b")
            (taken,) = await scene.desk.dispatcher.dispatch(TakeMail(actor=CODER, to="coder"))
            first, second = [row.id for row in scene.desk.hive.messages.values() if row.sender == OPERATOR.name]
            then, now = scene.desk.now, scene.desk.now + 10
            forget = ForgetMessages(actor=DAEMON, at=now, before=then + 1, count=1)
            answers = [
                scene.desk.dispatcher.dispatch(AcknowledgeMail(actor=CODER, at=then, to="coder", ids=(first,))),
                scene.desk.dispatcher.dispatch(forget),
                # The clock was set back: delivered before the moment, and still after the forgetting.
                scene.desk.dispatcher.dispatch(AcknowledgeMail(actor=CODER, at=then, to="coder", ids=(second,))),
            ]
            for answer in answers:
                await answer
            assert taken.event.ids[-1] == second

        run(story())
        assert scene.inbox() == ["b"]
        verify(scene.desk.path)

    def test_said(self, scene: Scene) -> None:
        """How many went is a fact and a line of the daemon's log; where none went there is neither."""

        async def story() -> None:
            await begin(scene)
            with capture_logs() as lines:
                await scene.reactor.tick()
            assert lines == []
            assert scene.facts(MessagesForgotten) == []
            await scene.deliver("a", "b")
            scene.later(31)
            before = scene.desk.now - 30 * DAY_MICROSECONDS
            with capture_logs() as lines:
                await scene.reactor.tick()
                await scene.reactor.tick()
            assert scene.facts(MessagesForgotten) == [MessagesForgotten(before=before, count=3)]
            assert [(line["event"], line["count"]) for line in lines] == [("messages_forgotten", 3)]

        run(story())

    @pytest.mark.parametrize("together", [True, False])
    def test_many(self, scene: Scene, monkeypatch: pytest.MonkeyPatch, together: bool) -> None:
        """Many go in portions, so that nobody waits for a long commit; also where all came in one microsecond."""
        monkeypatch.setattr(retention, "AT_ONCE", 4)

        async def story() -> None:
            await begin(scene)
            for number in range(10):
                if together:
                    await scene.send(str(number))
                else:
                    await scene.deliver(str(number))
                    scene.desk.now += 1
            if together:
                await scene.deliver()
            scene.later(31)
            await scene.reactor.tick()
            assert scene.inbox() == []
            counts = [fact.count for fact in scene.facts(MessagesForgotten)]
            assert sum(counts) == 11  # with the kick
            assert counts == ([11] if together else [4, 4, 3]), counts

        run(story())

    def test_by_index(self, scene: Scene) -> None:
        """A sweep finds what it takes by an index: its cost does not grow with what stays."""
        for column in ("delivered_at", "discarded_at"):
            sql = f"EXPLAIN QUERY PLAN DELETE FROM messages WHERE {column} < 1 AND NOT is_open"  # noqa: S608 - ours
            plan = [row[-1] for row in scene.desk.log.connection.execute(sql)]
            assert any(f"USING INDEX messages_{column}" in step for step in plan), plan

    def test_without_room(self, scene: Scene) -> None:
        """A log without room for the fact is said, and the next tick forgets."""

        async def story() -> None:
            await begin(scene)
            await scene.deliver("old")
            scene.later(31)
            with capture_logs() as lines:
                async with full(scene.desk):
                    await scene.reactor.tick()
                    assert "old" in scene.inbox()
            assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["not_forgotten"]
            await scene.reactor.tick()
            assert scene.inbox() == []
            assert scene.desk.failures == []

        run(story())


class TestStreams:
    """The turn streams, trimmed by the host."""

    def test_count(self, scene: Scene) -> None:
        """The newest so many stay, also of an agent that is a tombstone; the fact says whose and how many went."""

        async def story() -> None:
            await begin(scene, "gone", "quiet")
            await scene.say("coder", "r", 0, 50)
            await scene.say("gone", "r", 0, 25)
            await scene.say("quiet", "r", 0, 20)
            (asked,) = await scene.desk.dispatcher.dispatch(DestroyAgent(actor=OPERATOR, agent="gone"))
            await scene.desk.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent="gone", intent=asked.position))
            await scene.streams.forget("gone")
            await scene.reactor.tick()
            await scene.reactor.tick()
            assert scene.facts(StreamsTrimmed) == [StreamsTrimmed(agents=("coder", "gone"), events=35)]

        run(story())
        assert scene.numbers("coder") == list(range(30, 50))
        assert scene.numbers("gone") == list(range(5, 25))
        assert scene.numbers("quiet") == list(range(20))

    def test_age_by_the_host_s_clock(self, scene: Scene) -> None:
        """Events go seven days after they came; what they say of their time themselves removes nothing."""

        async def story() -> None:
            await begin(scene)
            await scene.say("coder", "r", 0, 3)
            scene.later(5)
            await scene.say("coder", "r", 3, 2)
            await scene.reactor.tick()
            assert scene.numbers("coder") == [0, 1, 2, 3, 4]
            scene.later(2.5)
            await scene.reactor.tick()

        run(story())
        assert scene.numbers("coder") == [3, 4]

    def test_a_run_goes_on(self, scene: Scene) -> None:
        """A session that was silent for long goes on where it was, though all that it said is gone."""

        async def story() -> None:
            await begin(scene)
            assert await scene.say("coder", "r", 0, 5) == 5
            scene.later(30)
            await scene.reactor.tick()
            assert scene.numbers("coder") == []
            assert await scene.say("coder", "r", 3, 4) == 7

        run(story())
        assert scene.numbers("coder") == [5, 6]

    def test_room_is_given_back(self, scene: Scene) -> None:
        """A file that has become mostly empty becomes small."""

        async def story() -> None:
            await begin(scene)
            await scene.say("coder", "r", 0, 400, text="x" * 20_000)
            large = (
                scene.path("coder").stat().st_size + scene.path("coder").with_name("coder.sqlite-wal").stat().st_size
            )
            await scene.reactor.tick()
            assert large > 8_000_000
            assert scene.path("coder").stat().st_size < 600_000

        run(story())
        assert scene.numbers("coder") == list(range(380, 400))

    def test_nothing_there(self, scene: Scene) -> None:
        """An agent that never said anything gets no file by it."""

        async def story() -> None:
            await begin(scene)
            await scene.reactor.tick()

        run(story())
        assert not scene.path("coder").exists()

    def test_one_that_is_going(self, scene: Scene) -> None:
        """The file of an agent that is being destroyed is left alone: its directory may be going."""

        async def story() -> None:
            await begin(scene)
            await scene.say("coder", "r", 0, 50)
            await scene.desk.dispatcher.dispatch(DestroyAgent(actor=OPERATOR, agent="coder", purge=True))
            await scene.reactor.tick()

        run(story())
        assert len(scene.numbers("coder")) == 50

    def test_one_is_broken(self, scene: Scene) -> None:
        """A file that cannot be read is said, and the others are trimmed all the same."""

        async def story() -> None:
            await begin(scene, "other")
            scene.path("coder").write_bytes(b"not a database" * 1_000)
            await scene.say("other", "r", 0, 50)
            with capture_logs() as lines:
                await scene.reactor.tick()
            assert [line["stream"] for line in lines if line["event"] == "stream_not_trimmed"] == ["agent-coder"]

        run(story())
        assert len(scene.numbers("other")) == 20

    def test_file_of_an_older_release(self, scene: Scene) -> None:
        """A file that does not say when its events came counts them from its opening on, and its runs go on."""
        with contextlib.closing(sqlite3.connect(scene.path("coder"))) as older:
            older.execute(
                "CREATE TABLE stream (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL,"
                " number INTEGER NOT NULL, at TEXT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL)"
            )
            older.execute("CREATE UNIQUE INDEX stream_run_number ON stream (run, number)")
            older.executemany("INSERT INTO stream VALUES (NULL, 'r', ?, '', 'text', '{}')", [(n,) for n in range(6)])
            older.commit()

        async def story() -> None:
            await begin(scene)
            await scene.reactor.tick()
            assert await scene.say("coder", "r", 6, 1) == 7
            scene.later(8)
            await scene.say("coder", "r", 7, 1)
            await scene.reactor.tick()

        run(story())
        assert scene.numbers("coder") == [7]


class TestAnswers:
    """The command ids that were answered."""

    def test_thirty_days(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        """An id is remembered for 30 days; a younger one still gets its first answer."""
        monkeypatch.setattr(retention, "AT_ONCE", 3)

        def command(number: int) -> SendMessage:
            return SendMessage(actor=OPERATOR, to="coder", body="hello", id=f"c{number}")

        async def story() -> None:
            await begin(scene)
            for number in range(10):
                await scene.desk.dispatcher.dispatch(command(number))
            scene.later(20)
            (young,) = await scene.desk.dispatcher.dispatch(command(10))
            scene.later(11)
            with capture_logs() as lines:
                await scene.reactor.tick()
                await scene.reactor.tick()
            assert [(line["event"], line["count"]) for line in lines] == [("command_ids_forgotten", 10)]
            assert await scene.desk.dispatcher.dispatch(command(10)) == (young,)
            (again,) = await scene.desk.dispatcher.dispatch(command(3))
            assert again.position > young.position

        run(story())


def test_other_limits(scene: Scene) -> None:
    """Changed limits hold from the next tick on."""

    async def story() -> None:
        await begin(scene)
        await scene.deliver("old")
        await scene.say("coder", "r", 0, 20)
        scene.later(3)
        scene.reactor.adjust(RetentionConfig(delivered_days=2, stream_days=7, stream_events=4))
        await scene.reactor.tick()
        assert scene.inbox() == []

    run(story())
    assert scene.numbers("coder") == [16, 17, 18, 19]
