"""A hive whose facts a test makes up, behind the real site and a real TCP listener: for states that take hours to have.

What is real: the log's file, every projection, the dispatcher, the site, HTTP. What is not: containers. Nothing here
answers for them, so that a pending row stays pending until a test says how it ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.events.envelope import DAEMON, MANAGER, Actor, Fact
from hyperhive.events.log import read_only
from hyperhive.events.reading import Selection, select
from hyperhive.projections import database
from hyperhive.projections.approvals import Work
from hyperhive.projections.configurations import commit_of
from hyperhive.projections.history import History
from hyperhive.projections.views import Kept
from hyperhive.proposals.proposals import Proposals
from hyperhive.web.listener import HttpServer, bind
from hyperhive.web.site import Site, past_of, site
from tests.proposals.kept import proposals_at

TOKEN = "a-token-of-the-operators"
T = TypeVar("T")


@attrs.frozen
class Told:
    """A fact, how many seconds ago it was, and whose it is."""

    ago: float
    fact: Fact
    actor: Actor | str = DAEMON


@attrs.define
class Stage:
    """A site that is served, and the hive behind it."""

    data: Path
    journal: Callable[[str, str, int], Coroutine[Any, Any, str]]
    kept: Mapping[str, Kept] = attrs.field(factory=dict)
    name: str = "nightshift"
    home: str = ""
    _loop: asyncio.AbstractEventLoop | None = None
    _dispatcher: Dispatcher | None = None
    _proposals: Proposals | None = None
    _stop: asyncio.Event | None = None

    def ask(self, cmd: str, **_fields: object) -> dict[str, Any]:
        """Say where the site is, as a daemon on its socket does."""
        assert cmd == "urls"
        return {"urls": {"home": f"{self.home}/"}}

    def dispatch(self, *commands: Any) -> None:
        """Give commands to the one writer, in its own thread."""
        for command in commands:
            self.run(self._given(command))

    async def _given(self, command: Any) -> Any:
        assert self._dispatcher is not None
        return await self._dispatcher.dispatch(command)

    @property
    def proposals(self) -> Proposals:
        """What is asked of configurations; `run` runs it."""
        assert self._proposals is not None
        return self._proposals

    def pending(self, agent: str) -> int:
        """Return the position of the intent that an agent has open."""
        assert self._dispatcher is not None
        position = self._dispatcher.hive.agents[agent].pending_position
        assert position is not None
        return int(position)

    def wish(self, agent: str, content: str) -> str:
        """Ask for a configuration as the manager does (a first one for a new agent); return its commit."""
        assert self._dispatcher is not None
        if commit_of(self._dispatcher.hive.configurations, agent) is None:
            self.run(self.proposals.request_spawn(MANAGER, agent, "", content))
        else:
            commit = commit_in(self.data / "proposed" / agent, content)
            self.run(self.proposals.request_apply(MANAGER, agent, commit, ""))
        (wanted,) = [row for row in self._dispatcher.hive.approvals.values() if row.work is Work.DECIDE]
        return str(wanted.commit)

    def facts(self, stream: str) -> list[dict[str, Any]]:
        """Read facts from the file."""
        with contextlib.closing(read_only(self.data / "hive.sqlite")) as connection:
            return list(select(connection, Selection(stream=stream)))

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Run something in the thread of the hive."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(timeout=30)

    async def serve(self, told: list[Told], ready: threading.Event) -> None:
        """Tell the facts, then serve until `end`."""
        path = self.data / "hive.sqlite"
        (self.data / "token").write_text(f"{TOKEN}\n")
        database.upgrade(path)
        log, hive = database.open_hive(path)
        now = time.time_ns() // 1_000
        recorded = [log.record(each.fact, at=now - int(each.ago * 1e6), actor=each.actor) for each in told]
        log.commit()
        hive.fold_all(recorded)
        # Mirrors are written by the dispatcher alone; what was told before it is folded into them as at a start.
        log.close()
        log, hive = database.open_hive(path)
        failures: list[Exception] = []
        self._dispatcher = Dispatcher(log, hive, clock=lambda: time.time_ns() // 1_000, on_failure=failures.append)
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        history = History(path)
        self._proposals = proposals_at(self._dispatcher, path)
        listener = await bind("127.0.0.1", 0)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        self.home = f"http://{address}"
        holds = Site(
            dispatcher=self._dispatcher,
            history=history,
            proposals=self._proposals,
            kept=lambda: self.kept,
            journal=self.journal,
            token=TOKEN,
            origins=frozenset({self.home}),
            name=self.name,
        )
        app = site(holds)
        server = HttpServer(app, listener)
        await server.open()
        ready.set()
        await self._stop.wait()
        self._dispatcher.release()
        await server.close()
        await past_of(app).close()
        history.close()
        log.close()

    def end(self) -> None:
        """Stop serving; a second time does nothing."""
        assert self._loop is not None
        assert self._stop is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._stop.set)


def commit_in(directory: Path, content: str) -> str:
    """Commit an `agent.toml` in a proposed repository, as the manager does; return the commit."""
    (directory / "agent.toml").write_text(content)
    git(directory, "add", "agent.toml")
    git(directory, "-c", "user.name=manager", "-c", "user.email=manager@hive", "commit", "--quiet", "-m", "change")
    return git(directory, "rev-parse", "HEAD")


def git(directory: Path, *arguments: str) -> str:
    """Run git in a repository."""
    argv = ["git", "-c", "safe.directory=*", "-C", str(directory), *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


async def _no_journal(_name: str, _unit: str, _lines: int) -> str:
    return ""


@contextlib.contextmanager
def staged(told: list[Told], *, journal: Any = _no_journal, kept: Mapping[str, Kept] | None = None) -> Iterator[Stage]:
    """Serve a hive in which these facts have happened, oldest first, for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="hh-") as directory:
        stage = Stage(Path(directory), journal, kept or {})
        ready = threading.Event()
        failed: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(stage.serve(told, ready))
            except BaseException as error:  # noqa: BLE001 - told to the test
                failed.append(error)
                ready.set()

        thread = threading.Thread(target=run, name="stage")
        thread.start()
        try:
            assert ready.wait(60)
            if failed:
                raise failed[0]
            yield stage
        finally:
            if not failed:
                stage.end()
            thread.join(30)
