"""What an agent may say besides mail: requests of a wrong shape, reports, the turn stream, the session's settings."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from hyperhive.config import ClaudeConfig
from hyperhive.events import turns
from hyperhive.events.stream_store import StreamStore
from hyperhive.sockets import reports
from tests.sockets.client import Client
from tests.sockets.hall import hall

Reply = dict[str, Any]

WRONG: dict[str, tuple[Reply, str]] = {
    "no command": ({}, "no command 'None' here; there are: send, recv, ack"),
    "unknown command": ({"cmd": "destroy"}, "no command 'destroy' here"),
    "a long command": ({"cmd": "x" * 100_000}, "no command 'xxxx"),
    "a command that is no text": ({"cmd": ["send"]}, "no command"),
    "no recipient": ({"cmd": "send", "body": "x"}, "missing required field `to`"),
    "a recipient that is no text": ({"cmd": "send", "to": 7, "body": "x"}, "Expected `str`, got `int` - at `$.to`"),
    "a body that is no text": ({"cmd": "send", "to": "coder", "body": {}}, "at `$.body`"),
    "a command id that is no text": ({"cmd": "send", "to": "a", "body": "x", "command_id": 1}, "at `$.command_id`"),
    "an empty command id": ({"cmd": "send", "to": "a", "body": "x", "command_id": ""}, "command id of 0 characters"),
    "a long command id": ({"cmd": "send", "to": "a", "body": "x", "command_id": "i" * 129}, "of 129 characters"),
    "a time that is no number": ({"cmd": "recv", "wait_seconds": "30"}, "at `$.wait_seconds`"),
    "a time before now": ({"cmd": "recv", "wait_seconds": -0.5}, "wait_seconds is -0.5"),
    "holding no ids": ({"cmd": "recv", "holding": ["7"]}, "at `$.holding[0]`"),
    "holding impossible ids": ({"cmd": "recv", "holding": [2**53]}, "at `$.holding[0]`"),
    "holding too many": ({"cmd": "recv", "holding": list(range(10_001))}, "at `$.holding`"),
    "ack of nothing": ({"cmd": "ack"}, "missing required field `ids`"),
    "ack of a negative id": ({"cmd": "ack", "ids": [-1]}, "at `$.ids[0]`"),
    "a limit that is a boolean": ({"cmd": "recent", "limit": True}, "at `$.limit`"),
    "a report that is no object": ({"cmd": "report", "event": "idle"}, "at `$.event`"),
    "a report without a kind": ({"cmd": "report", "event": {}}, "a report has a kind"),
    "a report of an endless kind": ({"cmd": "report", "event": {"kind": "k" * 61}}, "a report has a kind"),
    "a stream without a run": ({"cmd": "stream", "run": "", "first": 0, "events": []}, "a run of 0 characters"),
    "a stream of a long run": ({"cmd": "stream", "run": "r" * 65, "first": 0, "events": []}, "a run of 65"),
    "a stream before its first": ({"cmd": "stream", "run": "r", "first": -1, "events": []}, "at `$.first`"),
    "a stream past all numbers": ({"cmd": "stream", "run": "r", "first": 2**63, "events": []}, "at `$.first`"),
    "a stream of texts": ({"cmd": "stream", "run": "r", "first": 0, "events": ["x"]}, "at `$.events[0]`"),
    "a stream of too many": ({"cmd": "stream", "run": "r", "first": 0, "events": [{}] * 2_001}, "of 2001 events"),
}

KINDS: dict[str, tuple[Reply, object]] = {
    "harness_started": ({"run": "r1", "version": "1.2"}, turns.HarnessStarted(agent="coder", run="r1", version="1.2")),
    "turn_started": ({"ids": [1, 2]}, turns.TurnStarted(agent="coder", ids=(1, 2))),
    "turn_ended": (
        {
            "ok": False,
            "cost_usd": 0.5,
            "usage": {
                "input_tokens": 1,
                "output_tokens": 2,
                "cache_read_input_tokens": 3,
                "cache_creation_input_tokens": 4,
                "service_tier": "standard",
            },
            "session_id": "s",
            "error": "overloaded",
            "error_kind": "api",
        },
        turns.TurnEnded(
            agent="coder",
            ok=False,
            cost_usd=0.5,
            input_tokens=1,
            output_tokens=2,
            cache_read_tokens=3,
            cache_creation_tokens=4,
            session_id="s",
            error="overloaded",
            error_kind="api",
        ),
    ),
    "status": (
        {"status": "compacting", "text": "a long story"},
        turns.StatusChanged(agent="coder", status="compacting", text="a long story"),
    ),
    "model_changed": ({"model": "opus"}, turns.ModelChanged(agent="coder", model="opus")),
    "session_lost": ({"expected": "a", "actual": "b"}, turns.SessionLost(agent="coder", expected="a", actual="b")),
    "needs_login": ({"detail": "expired"}, turns.LoginNeeded(agent="coder", detail="expired")),
    "of tomorrow": (
        {"deep": {"er": [1, None, "x"]}},
        turns.HarnessReported(agent="coder", kind="of tomorrow", detail={"deep": {"er": [1, None, "x"]}}),
    ),
}

BAD_REPORTS: dict[str, tuple[Reply, str]] = {
    "a turn that says nothing of its end": ({"kind": "turn_ended"}, "the report 'turn_ended' is off: "),
    "a status that there is not": ({"kind": "status", "status": "asleep"}, "at `$.status`"),
    "negative money": ({"kind": "turn_ended", "ok": True, "cost_usd": -1}, "at `$.cost_usd`"),
    "more money than there is": ({"kind": "turn_ended", "ok": True, "cost_usd": 1e300}, "at `$.cost_usd`"),
    "more tokens than SQLite counts": (
        {"kind": "turn_ended", "ok": True, "usage": {"input_tokens": 2**63}},
        "at `$.usage.input_tokens`",
    ),
    "an ack that is no message's": ({"kind": "turn_ended", "ok": True, "ack": [2**70]}, "at `$.ack[0]`"),
}


async def coder(place: Path, migrated: Path, *requests: Reply) -> list[Reply]:
    """Let coder run and ask all these requests, one after the other."""
    async with hall(place, migrated) as here:
        await here.spawn("coder")
        client = await here.agent("coder")
        return [await client.ask(request) for request in requests]


def report(kind: str, **fields: Any) -> Reply:
    """Return a request that reports."""
    return {"cmd": "report", "event": {"kind": kind, **fields}}


def batch(first: int, *texts: str, run: str = "r1") -> Reply:
    """Return a request with a batch of the turn stream, of which each event has one of these texts."""
    events = [{"at": "2026-01-01T00:00:00Z", "type": "assistant", "data": {"text": text}} for text in texts]
    return {"cmd": "stream", "run": run, "first": first, "events": events}


def kept(path: Path) -> list[tuple[int, str, dict[str, Any]]]:
    """Return what a turn stream's file holds: number, type, data."""
    store = StreamStore(path)
    try:
        return [(event.number, event.type, event.data) for event in store.read()]
    finally:
        store.close()


class TestShapes:
    """Requests that are JSON and still wrong."""

    @pytest.mark.parametrize("name", WRONG)
    def test_wrong(self, place: Path, migrated: Path, name: str) -> None:
        """The error names the field or the command, and the connection goes on."""
        request, told = WRONG[name]
        refusal, answer = asyncio.run(coder(place, migrated, request, {"cmd": "recent"}))
        assert (refusal["ok"], refusal["code"], answer["ok"]) == (False, "invalid", True)
        assert told in refusal["error"]

    def test_unknown_fields(self, place: Path, migrated: Path) -> None:
        """A field that this release does not know is left alone: a newer harness may send it."""
        (answer,) = asyncio.run(coder(place, migrated, {"cmd": "recv", "wait_seconds": 0, "priority": "high"}))
        assert answer["ok"] is True


class TestReport:
    """What a harness says of its session."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_kinds(self, place: Path, migrated: Path, kind: str) -> None:
        """Each kind becomes its fact, said by the agent itself; one that nobody knows is kept as it came."""
        fields, fact = KINDS[kind]

        async def story() -> tuple[Reply, object, str]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                reply = await (await here.agent("coder")).ask(report(kind, **fields))
                last = here.desk.log.read(here.desk.hive.position, here.desk.hive.position)[0]
                return reply, last.event, last.actor

        assert asyncio.run(story()) == ({"ok": True}, fact, "agent:coder")

    @pytest.mark.parametrize("name", BAD_REPORTS)
    def test_bad_reports(self, place: Path, migrated: Path, name: str) -> None:
        """A report that the log could not keep is refused with its field, and the daemon goes on."""
        event, told = BAD_REPORTS[name]
        refusal, answer = asyncio.run(
            coder(
                place, migrated, {"cmd": "report", "event": event, "command_id": "r"}, report("status", status="idle")
            )
        )
        assert (refusal["code"], answer) == ("invalid", {"ok": True})
        assert told in refusal["error"]

    def test_too_large(self, place: Path, migrated: Path) -> None:
        """A report is for the log, and is no place for a turn's content; up to its limit it is kept."""
        room = reports.MAX_REPORT_BYTES - len('{"kind":"x","text":""}')
        fits, refusal = asyncio.run(
            coder(place, migrated, report("x", text="y" * room), report("x", text="y" * (room + 1)))
        )
        assert fits == {"ok": True}
        assert refusal["code"] == "too_large"
        assert str(reports.MAX_REPORT_BYTES) in refusal["error"]

    def test_turn_ended_acknowledges(self, place: Path, migrated: Path) -> None:
        """A turn's end delivers its mail in the same moment; told twice with one id, it ended once."""

        async def story() -> tuple[list[Reply], list[Reply], int]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                client = await here.agent("coder")
                ids = [message["id"] for message in (await client.ask({"cmd": "recv", "wait_seconds": 0}))["messages"]]
                ended = {**report("turn_ended", ok=True, ack=ids), "command_id": "t1"}
                replies = [await client.ask(ended), await client.ask(ended)]
                again = await client.ask({"cmd": "recv", "wait_seconds": 0})
                return replies, again["messages"], here.desk.hive.sessions["coder"].turns

        assert asyncio.run(story()) == ([{"ok": True}, {"ok": True}], [], 1)


class TestStream:
    """The turn stream, kept by the host."""

    def test_batches(self, place: Path, migrated: Path) -> None:
        """Batches are kept in order, each run with a count of its own, in a file that only the host's user may read."""
        requests = (batch(0, "a", "b"), batch(2, "c"), batch(0, "d", run="r2"))
        replies = asyncio.run(coder(place, migrated, *requests))
        path = place / "data" / "agents" / "coder" / "hyperhive-events.sqlite"
        assert [reply["next"] for reply in replies] == [2, 3, 1]
        assert [(number, data["text"]) for number, _, data in kept(path)] == [(0, "a"), (1, "b"), (2, "c"), (0, "d")]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_reconnect(self, place: Path, migrated: Path) -> None:
        """A batch that is sent again, by whoever did not hear the answer, is kept once, and what is new in it too."""

        async def story() -> list[int]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                client = await here.agent("coder")
                nexts = [(await client.ask(batch(0, "a", "b")))["next"]]
                client.leave()
                nexts.append((await (await here.agent("coder")).ask(batch(0, "a", "b")))["next"])
            async with hall(place, migrated) as here:
                nexts.append((await (await here.agent("coder")).ask(batch(1, "b", "c")))["next"])
                return nexts

        assert asyncio.run(story()) == [2, 2, 3]
        found = kept(place / "data" / "agents" / "coder" / "hyperhive-events.sqlite")
        assert [data["text"] for _, _, data in found] == ["a", "b", "c"]

    def test_gap(self, place: Path, migrated: Path) -> None:
        """What would leave a hole is refused with the number that is expected, also where it brings nothing."""
        replies = asyncio.run(coder(place, migrated, batch(0, "a"), batch(5, "f"), batch(5), batch(1, "b")))
        assert [reply.get("next") for reply in replies] == [1, None, None, 2]
        assert replies[1]["code"] == replies[2]["code"] == "conflict"
        assert "goes on at 1, not at 5" in replies[1]["error"]

    def test_dropped(self, place: Path, migrated: Path) -> None:
        """A hole is accepted where an event stands for it, and the stream goes on after that."""
        dropped = {"at": "", "type": "dropped", "data": {"count": 4, "first": 1, "last": 4}}
        marked = {"cmd": "stream", "run": "r1", "first": 4, "events": [dropped, batch(0, "f")["events"][0]]}
        replies = asyncio.run(coder(place, migrated, batch(0, "a"), marked, batch(6, "g")))
        assert [reply["next"] for reply in replies] == [1, 6, 7]
        found = kept(place / "data" / "agents" / "coder" / "hyperhive-events.sqlite")
        assert [(number, type_) for number, type_, _ in found] == [
            (0, "assistant"),
            (4, "dropped"),
            (5, "assistant"),
            (6, "assistant"),
        ]

    def test_odd_events(self, place: Path, migrated: Path) -> None:
        """An event without the fields that are usual, or with more digits than SQLite counts, is kept all the same."""
        odd = {"cmd": "stream", "run": "r1", "first": 0, "events": [{}, {"type": 7, "at": None, "data": [2**70]}]}
        (reply,) = asyncio.run(coder(place, migrated, odd))
        assert reply == {"ok": True, "next": 2}

    def test_file_that_cannot_be_written(self, place: Path, migrated: Path) -> None:
        """While the file cannot be written the batch is refused as something to send again; then it is kept."""
        path = place / "data" / "agents" / "coder" / "hyperhive-events.sqlite"

        async def story() -> list[Reply]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                client = await here.agent("coder")
                path.mkdir()
                refusal = await client.ask(batch(0, "a"))
                path.rmdir()
                return [refusal, await client.ask(batch(0, "a"))]

        refusal, answer = asyncio.run(story())
        assert (refusal["code"], answer) == ("unavailable", {"ok": True, "next": 1})
        assert "cannot be written now" in refusal["error"]


class TestSession:
    """What a turn runs with, asked for anew each time."""

    async def ask(self, place: Path, migrated: Path, claude: ClaudeConfig, name: str) -> Reply:
        """Return the reply to one agent."""
        async with hall(place, migrated, claude=claude) as here:
            await here.spawn(name)
            client: Client = await here.agent(name)
            return await client.ask({"cmd": "session"})

    def test_reply(self, place: Path, migrated: Path) -> None:
        """An agent is told who it is, and what its session runs with."""
        claude = ClaudeConfig(model="opus", base_url="https://example.org", idle_seconds=60.0)
        told = asyncio.run(self.ask(place, migrated, claude, "coder"))
        assert {
            key: told[key] for key in ("ok", "agent", "role", "model", "env", "permission_mode", "idle_seconds")
        } == {
            "ok": True,
            "agent": "coder",
            "role": "agent",
            "model": "opus",
            "env": {"ANTHROPIC_BASE_URL": "https://example.org"},
            "permission_mode": "bypassPermissions",
            "idle_seconds": 60.0,
        }

    def test_manager(self, place: Path, migrated: Path) -> None:
        """The manager has a role of its own."""
        assert asyncio.run(self.ask(place, migrated, ClaudeConfig(), "manager"))["role"] == "manager"

    def test_credentials(self, place: Path, migrated: Path) -> None:
        """The hive's credentials cross the agent's own socket."""
        file = place / "key"
        file.touch(mode=0o600)
        file.write_text("sk-ant-api03-x\n")
        told = asyncio.run(self.ask(place, migrated, ClaudeConfig(credentials_file=file), "coder"))
        assert told["env"] == {"ANTHROPIC_API_KEY": "sk-ant-api03-x"}

    def test_credentials_that_cannot_be_used(self, place: Path, migrated: Path) -> None:
        """Credentials that others may read are refused with what to do, and are not shown."""
        file = place / "key"
        file.write_text("sk-ant-api03-x\n")
        file.chmod(0o644)
        refusal = asyncio.run(self.ask(place, migrated, ClaudeConfig(credentials_file=file), "coder"))
        assert (refusal["ok"], refusal["code"]) == (False, "unavailable")
        assert "chmod 600" in refusal["error"]
        assert "sk-ant" not in str(refusal)
