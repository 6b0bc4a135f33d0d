"""What destroyed agents keep on disk: looked for in a thread, shown as unknown until it is known."""

from __future__ import annotations

import asyncio
import stat
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import structlog

from hyperhive import handles
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.homes.measure import measure
from hyperhive.projections import views
from hyperhive.projections.agents import Agent
from hyperhive.projections.views import Kept

log = structlog.get_logger("tombstones")

FRESH_SECONDS = 60.0
"""An operator may clear up by hand: what was found is looked for again when somebody asks after this time."""


@attrs.frozen(kw_only=True)
class _Found:
    since: int
    """When the agent was destroyed; destroyed again, it may keep something else."""
    at: float
    kept: Kept


class Tombstones:
    """Looks at one tombstone after the other; what it found is kept for as long as the tombstone stands."""

    def __init__(self, dispatcher: Dispatcher, data: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._dispatcher = dispatcher
        self._data = data
        self._clock = clock
        self._found: dict[str, _Found] = {}
        self._again: set[str] = set()
        """Whose findings are old, and asked for."""
        self._wanted = asyncio.Event()

    def known(self) -> Mapping[str, Kept]:
        """Return what is known, and let what is missing or old be looked for."""
        old = self._clock() - FRESH_SECONDS
        known = {agent.name: found for agent in self._stones() if (found := self._of(agent)) is not None}
        self._again.update(name for name, found in known.items() if found.at < old)
        if self._next() is not None:
            self._wanted.set()
        return {name: found.kept for name, found in known.items()}

    async def tick(self) -> bool:
        """Look at one tombstone that has to be looked at; return whether there was one."""
        for name in self._found.keys() - {agent.name for agent in self._stones()}:
            del self._found[name]
        agent = self._next()
        if agent is None:
            return False
        kept = await self._look(agent.name)
        self._found[agent.name] = _Found(since=agent.since, at=self._clock(), kept=kept)
        self._again.discard(agent.name)
        return True

    async def run(self) -> None:
        """Look whenever an agent has become a tombstone, or somebody wants to know."""
        end = self._dispatcher.listen(lambda _facts: self._wanted.set())
        try:
            while True:
                self._wanted.clear()
                while await self.tick():
                    pass
                await self._wanted.wait()
        finally:
            end()

    def _stones(self) -> list[Agent]:
        return views.tombstones(self._dispatcher.hive)

    def _of(self, agent: Agent) -> _Found | None:
        found = self._found.get(agent.name)
        return found if found is not None and found.since == agent.since else None

    def _next(self) -> Agent | None:
        return next((a for a in self._stones() if self._of(a) is None or a.name in self._again), None)

    async def _look(self, name: str) -> Kept:
        stop = threading.Event()
        try:
            return await asyncio.to_thread(look, self._data, name, stop.is_set)
        except OSError as error:
            log.warning("tombstone_not_measured", stream=f"agent-{name}", error=str(error))
            return Kept(size_bytes=0, whole=False, modified_at=None, credentials=False)
        finally:
            stop.set()  # for a thread that nobody waits for any more


def look(data: Path, name: str, stopped: Callable[[], bool] = lambda: False) -> Kept:
    """Measure what an agent kept; blocks. A state directory that is gone, or is none, keeps nothing."""
    state = ("agents", name, "state")
    found = measure(data, *state, stopped=stopped)
    if found is None:
        return Kept(size_bytes=0, whole=True, modified_at=None, credentials=False)
    return Kept(
        size_bytes=found.size_bytes,
        whole=found.whole,
        # An agent may have set any time, also one that no calendar has.
        modified_at=round(min(max(found.modified_at, 0.0), time.time()) * 1_000_000),
        credentials=_has_credentials(data, *state, ".claude"),
    )


def _has_credentials(data: Path, *path: str) -> bool:
    try:
        with handles.below(data, *path) as directory:
            status = handles.status(directory, ".credentials.json")
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0
