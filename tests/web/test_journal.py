"""The journal over HTTP: text that nobody takes for anything else, and what a bad request gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pytest
from starlette.applications import Starlette

from hyperhive.commands.agents import DestroyAgent, ReportOutcome
from hyperhive.daemon.journal import Journal
from hyperhive.events.envelope import DAEMON, OPERATOR
from hyperhive.projections.history import History
from hyperhive.runtimes import logs
from hyperhive.runtimes.protocol import NoSuchContainer, RuntimeFailed
from hyperhive.web.site import Site, site
from tests.commands.desk import Desk
from tests.proposals.kept import proposals_at
from tests.reactors.memory import MemoryRuntime
from tests.web.asking import ORIGIN, Answer, ask

TOKEN = "a-token-of-the-operators"
UNITS = ("hive-ag3nt.service", "hive-m1nd.service")


@attrs.define
class Kept(MemoryRuntime):
    """A runtime that keeps output in a file, as those without systemd do."""

    file: Path = Path("/nowhere")
    read: Callable[[str, int], Awaitable[tuple[str, ...]]] | None = None
    asked: list[tuple[str, int]] = attrs.field(factory=list)

    async def logs(self, name: str, lines: int) -> tuple[str, ...]:
        """Return the end of the file."""
        self.asked.append((name, lines))
        return logs.tail(self.file, lines) if self.read is None else await self.read(name, lines)


@attrs.define
class Reader:
    """The site of a hive with one agent, and what its container wrote."""

    desk: Desk
    runtime: Kept
    app: Starlette

    def get(self, name: str = "coder", query: str = "") -> Answer:
        """Ask for a journal."""
        path = f"/api/journal/{name}"
        return asyncio.run(ask(self.app, path, query=query, authorization=f"Bearer {TOKEN}"))

    def refused(self, name: str = "coder", query: str = "") -> tuple[int, str, str]:
        """Ask for a journal that is refused."""
        answer = self.get(name, query)
        told = json.loads(answer.body)
        return answer.status, told["code"], told["error"]


@pytest.fixture
def reader(hive_db: Path, tmp_path: Path) -> Reader:
    """A reader."""
    desk = Desk(hive_db)
    asyncio.run(desk.spawn("coder"))
    runtime = Kept(file=tmp_path / "harness.log")
    runtime.file.write_bytes(b"one\n\x1b[31mtwo\x1b[0m <b>\xff</b>\nthree\n")
    holds = Site(
        dispatcher=desk.dispatcher,
        history=History(hive_db),
        proposals=proposals_at(desk.dispatcher, hive_db),
        kept=dict,
        journal=Journal(hive=desk.hive, runtime=runtime, deadline_seconds=0.05),
        token=TOKEN,
        origins=frozenset({ORIGIN}),
    )
    return Reader(desk, runtime, site(holds))


class TestAnswer:
    """What is there."""

    def test_text(self, reader: Reader) -> None:
        """The last lines, as they were written but for what is no text; no browser may guess what they are."""
        answer = reader.get(query="lines=2")
        assert (answer.status, answer.body.decode()) == (200, "\x1b[31mtwo\x1b[0m <b>\ufffd</b>\nthree\n")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize("query", ["", "unit=", "lines=5000", *(f"unit={unit}&lines=1" for unit in UNITS)])
    def test_units_and_lines(self, reader: Reader, query: str) -> None:
        """Both units may be named, or none; up to 5000 lines may be asked for."""
        answer = reader.get(query=query)
        assert answer.status == 200
        assert answer.body.endswith(b"three\n")

    def test_needs_the_token(self, reader: Reader) -> None:
        """It is the operator's alone."""
        assert asyncio.run(ask(reader.app, "/api/journal/coder")).status == 401
        assert reader.runtime.asked == []

    def test_nothing_written(self, reader: Reader) -> None:
        """A container that has written nothing has an empty journal."""
        reader.runtime.file.unlink()
        assert (reader.get().status, reader.get().body) == (200, b"")


class TestRefusals:
    """What is refused, before the runtime is asked for anything."""

    @pytest.mark.parametrize("name", ["nobody", "..", "-x", "x\ny", "x" * 61, "CODER", "coder%20", "manager"])
    def test_who_is_not_there(self, reader: Reader, name: str) -> None:
        """A name is looked for among those that there are, and nowhere else."""
        status, code, _error = reader.refused(name)
        assert (status, code, reader.runtime.asked) == (404, "not_found", [])

    def test_destroyed(self, reader: Reader) -> None:
        """Who is destroyed has no container to have a journal."""

        async def bury() -> None:
            (asked,) = await reader.desk.dispatcher.dispatch(DestroyAgent(actor=OPERATOR, agent="coder"))
            await reader.desk.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=asked.position))

        asyncio.run(bury())
        assert reader.refused()[:2] == (404, "not_found")

    @pytest.mark.parametrize(
        "query",
        ["unit=sshd.service", "unit=hive-ag3nt", "unit=hive-ag3nt.service%20-f", "unit=--all", "unit=%0a"],
    )
    def test_unit(self, reader: Reader, query: str) -> None:
        """Any other unit is refused with those that there are."""
        status, code, error = reader.refused(query=query)
        assert (status, code, all(unit in error for unit in UNITS)) == (422, "invalid", True)
        assert reader.runtime.asked == []

    @pytest.mark.parametrize(
        "query",
        [
            "lines=0",
            "lines=5001",
            "lines=-1",
            "lines=all",
            "lines=1e3",
            "lines=",
            "lines=9999999999",
            "lines=1&lines=2",
        ],
    )
    def test_lines(self, reader: Reader, query: str) -> None:
        """So is any number of lines but 1 to 5000."""
        status, code, _error = reader.refused(query=query)
        assert (status, code, reader.runtime.asked) == (422, "invalid", [])


class TestTrouble:
    """A runtime that cannot answer."""

    def test_hangs(self, reader: Reader) -> None:
        """One that hangs is given up on after the deadline, and the text says so."""

        async def hang(_name: str, _lines: int) -> tuple[str, ...]:
            await asyncio.Event().wait()
            raise AssertionError

        reader.runtime.read = hang
        assert reader.refused() == (
            503,
            "unavailable",
            "the journal of coder did not come within 0.05 s; try fewer lines",
        )

    def test_deadline(self) -> None:
        """Given no other, it is five seconds."""
        assert attrs.fields(Journal).deadline_seconds.default == 5.0

    @pytest.mark.parametrize(
        ("error", "status", "told"),
        [
            (NoSuchContainer("coder"), 404, "no container h-coder"),
            (RuntimeFailed(["journalctl"], 1, "No journal files were found."), 503, "No journal files were found."),
        ],
    )
    def test_fails(self, reader: Reader, error: Exception, status: int, told: str) -> None:
        """One that fails is told with what it said."""

        async def fail(_name: str, _lines: int) -> tuple[str, ...]:
            raise error

        reader.runtime.read = fail
        found = reader.refused()
        assert (found[0], told in found[2]) == (status, True)
