"""A lifecycle reactor over a real dispatcher and file, with a runtime and homes in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from hyperhive.commands.agents import SpawnAgent
from hyperhive.commands.command import Command
from hyperhive.commands.errors import Unavailable
from hyperhive.commands.messages import SendMessage
from hyperhive.events.envelope import OPERATOR
from hyperhive.reactors.lifecycle import Home, Lifecycle
from hyperhive.runtimes.protocol import Spec
from tests.commands.desk import Desk
from tests.reactors.memory import MemoryRuntime

DEADLINE_SECONDS = 10.0
GRACE_SECONDS = 7.0


@attrs.define
class Homes:
    """What agents have besides their containers: here, a list of what was done to it."""

    runtime: MemoryRuntime
    broken: dict[str, Exception] = attrs.field(factory=dict)

    async def plan(self, name: str, generation: int) -> Spec:
        """Return a spec."""
        await self._act("plan", None)
        return self._spec(name, generation)

    async def prepare(self, name: str, generation: int) -> Spec:
        """Return a spec."""
        await self._act("prepare", None)
        return self._spec(name, generation)

    def _spec(self, name: str, generation: int) -> Spec:
        there = Path("/nowhere") / name
        return Spec(
            name=name,
            state=there / "state",
            socket_dir=there / "socket",
            log=there / "harness.log",
            generation=generation,
        )

    async def clear(self, name: str) -> None:
        """Wipe."""
        await self._act("clear", f"clear {name}")

    async def close(self, name: str) -> None:
        """Close the socket."""
        await self._act("close", f"close {name}")

    @property
    def home(self) -> Home:
        """What the reactor has of them."""
        return Home(plan=self.plan, prepare=self.prepare, clear=self.clear, close=self.close)

    async def _act(self, verb: str, noted: str | None) -> None:
        await self.runtime.moment()
        if verb in self.broken:
            raise self.broken[verb]
        if noted is not None:
            self.runtime.acts.append(noted)
        await self.runtime.moment()


class Stage:
    """One daemon's lifecycle. `next_daemon` is the one that follows it, on the same file and the same containers."""

    def __init__(self, path: Path, runtime: MemoryRuntime, **options: Any) -> None:
        self.desk = Desk(path)
        self.runtime = runtime
        self.homes = Homes(runtime)
        self.lifecycle = Lifecycle(
            self.desk.dispatcher,
            runtime,
            self.homes.home,
            **{
                "parallel": 4,
                "deadline_seconds": DEADLINE_SECONDS,
                "grace_seconds": GRACE_SECONDS,
                "report_again_seconds": 0.001,
                **options,
            },
        )

    def next_daemon(self) -> Stage:
        """End this daemon, and begin another."""
        self.desk.log.close()
        return Stage(self.desk.path, self.runtime)

    async def ask(self, *commands: Command) -> None:
        """Give commands, which become intents."""
        for command in commands:
            await self.desk.dispatcher.dispatch(command)

    async def work(self) -> None:
        """Work off what is open."""
        await asyncio.gather(*self.lifecycle.tick())

    async def spawn(self, *names: str) -> None:
        """Let agents run, by way of the runtime; what was done for that is not noted."""
        await self.ask(*(SpawnAgent(actor=OPERATOR, agent=name) for name in names))
        await self.work()
        self.runtime.acts.clear()

    def facts(self, after: int = 0) -> list[Any]:
        """Return what has happened after a position."""
        return [recorded.event for recorded in self.desk.log.read(after + 1, self.desk.hive.position)]

    @property
    def position(self) -> int:
        """Where the log ends."""
        return self.desk.hive.position


@asynccontextmanager
async def full(desk: Desk) -> AsyncIterator[None]:
    """Let the log have no room for anything, for the length of a block."""
    connection = desk.log.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (usual,) = connection.execute("PRAGMA max_page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    for size in (8_000, 800, 1):
        with contextlib.suppress(Unavailable):
            while True:
                await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="operator", body="x" * size))
    yield
    connection.execute(f"PRAGMA max_page_count = {usual}")


async def until(condition: Callable[[], object]) -> None:
    """Let others go on until this holds."""
    while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0)


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run a story in an event loop of its own; it has twenty seconds."""
    asyncio.run(asyncio.wait_for(story, timeout=20))
