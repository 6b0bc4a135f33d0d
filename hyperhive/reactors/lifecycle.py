"""Works off the open intents: one action per agent at a time, several agents side by side, each with a deadline.

Every action may be repeated after a crash of the daemon: it observes what runs and goes on from there, so that nothing
is started twice and no transient outlives its work.
"""

from __future__ import annotations

import asyncio
import enum
import functools
from collections.abc import Awaitable, Callable

import attrs
import structlog

from hyperhive.commands.agents import ReportOutcome
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Refused, Unavailable
from hyperhive.config import DirectoryError
from hyperhive.events.envelope import DAEMON, Cause
from hyperhive.projections.agents import Agent, Transient
from hyperhive.runtimes.protocol import Runtime, RuntimeTrouble, Spec

log = structlog.get_logger("lifecycle")

MAX_ERROR_CHARACTERS = 4_000
"""Of a tool's output in an event; the whole of it is in the daemon's log."""
REPORT_AGAIN_SECONDS = 1.0
"""Between two tries to tell an outcome to a log that has no room."""


class Step(enum.Enum):
    """One thing done to a container."""

    BUILD = enum.auto()
    """Make what the next container is made of. What runs goes on, and where this fails it is left alone."""
    STOP = enum.auto()
    REMOVE = enum.auto()
    CREATE = enum.auto()
    START = enum.auto()
    CLEAR = enum.auto()
    """Wipe what the agent kept, if the intent says so."""


STEPS: dict[Transient, tuple[Step, ...]] = {
    Transient.SPAWNING: (Step.BUILD, Step.CREATE, Step.START),
    Transient.STARTING: (Step.BUILD, Step.CREATE, Step.START),
    Transient.STOPPING: (Step.STOP,),
    Transient.RESTARTING: (Step.BUILD, Step.STOP, Step.CREATE, Step.START),
    # Nothing is removed: where the new one cannot be made, the old one is still there to be started.
    Transient.REBUILDING: (Step.BUILD, Step.STOP, Step.CREATE, Step.START),
    Transient.DESTROYING: (Step.STOP, Step.REMOVE, Step.CLEAR),
}


@attrs.frozen(kw_only=True)
class Home:
    """What an agent has on the host besides its container; the daemon knows where."""

    plan: Callable[[str, int], Awaitable[Spec]]
    """Lay out what a generation is built from, where no container sees it; return its spec."""
    prepare: Callable[[str, int], Awaitable[Spec]]
    """Make directories and socket for an agent; return its spec for a generation."""
    clear: Callable[[str], Awaitable[None]]
    """Wipe an agent's directories (purge)."""
    close: Callable[[str], Awaitable[None]]
    """Close the socket of an agent that is no more."""


class Lifecycle:
    """The reactor."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        runtime: Runtime,
        home: Home,
        *,
        parallel: int,
        deadline_seconds: float,
        grace_seconds: float,
        report_again_seconds: float = REPORT_AGAIN_SECONDS,
    ) -> None:
        self._dispatcher = dispatcher
        self._runtime = runtime
        self._home = home
        self._parallel = parallel
        self._slots = asyncio.Semaphore(parallel)
        self._deadline_seconds = deadline_seconds
        self._grace_seconds = grace_seconds
        self._report_again_seconds = report_again_seconds
        self._working: dict[str, asyncio.Task[None]] = {}

    def adjust(self, *, parallel: int, deadline_seconds: float, grace_seconds: float) -> None:
        """Take other limits, for what begins from now on.

        Work that is under way, or waits for its turn, keeps the slots of before until it has ended.
        """
        self._deadline_seconds = deadline_seconds
        self._grace_seconds = grace_seconds
        if parallel != self._parallel:
            self._parallel = parallel
            self._slots = asyncio.Semaphore(parallel)

    def tick(self) -> list[asyncio.Task[None]]:
        """Begin work on every open intent that nobody works on; return what was begun."""
        begun = []
        for agent in list(self._dispatcher.hive.agents.values()):
            if agent.pending is None or agent.name in self._working:
                continue
            task = asyncio.create_task(self._work(agent), name=f"{agent.pending.value}-{agent.name}")
            self._working[agent.name] = task
            task.add_done_callback(functools.partial(self._worked, agent.name))
            begun.append(task)
        return begun

    async def run(self) -> None:
        """Tick whenever facts arrive; ends by cancellation, when nothing works any more.

        Work that was begun is found again at the next start.
        """
        woken = asyncio.Event()
        end = self._dispatcher.listen(lambda _facts: woken.set())
        try:
            while True:
                for task in self.tick():
                    task.add_done_callback(lambda _done: woken.set())
                await woken.wait()
                woken.clear()
        finally:
            end()
            working = list(self._working.values())
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    async def _work(self, agent: Agent) -> None:
        assert agent.pending is not None  # noqa: S101 - tick looked
        assert agent.pending_position is not None  # noqa: S101
        async with self._slots:
            log.info("action_begun", action=agent.pending.value, stream=f"agent-{agent.name}")
            error = await self._attempt(agent, STEPS[agent.pending])
            if error is not None:
                log.error("action_failed", action=agent.pending.value, stream=f"agent-{agent.name}", error=error)
            running, generation = (False, None) if error is None else await self._seen(agent)
            await self._report(
                ReportOutcome(
                    actor=DAEMON,
                    agent=agent.name,
                    intent=agent.pending_position,
                    error=error,
                    running=running,
                    generation=generation,
                    cause=Cause(agent.pending_position, agent.pending_correlation or agent.pending_position),
                ),
            )

    async def _report(self, outcome: ReportOutcome) -> None:
        """Tell the log what came of it. Where that has no room, only the telling is tried again."""
        while True:
            try:
                await self._dispatcher.dispatch(outcome)
            except Unavailable as full:
                log.warning("outcome_untold", stream=f"agent-{outcome.agent}", reason=str(full))
                await asyncio.sleep(self._report_again_seconds)
            else:
                return

    def _worked(self, name: str, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (broke := task.exception()) is not None:
            # It keeps its place, so that what breaks at once is not tried again at full speed; the next start tries.
            log.error("action_broke", stream=f"agent-{name}", exc_info=broke)
            return
        del self._working[name]

    async def _attempt(self, agent: Agent, steps: tuple[Step, ...]) -> str | None:
        """Do the steps within the deadline; return why they could not be done."""
        try:
            async with asyncio.timeout(self._deadline_seconds):
                if Step.START in steps and await self._runs(agent.name, agent.generation + 1):
                    return None  # a daemon before this one got that far
                for step in steps:
                    await self._do(step, agent)
        except TimeoutError:
            return f"{agent.pending} did not end within {self._deadline_seconds:g} s"
        except (RuntimeTrouble, DirectoryError, Refused, OSError) as trouble:
            return _told(trouble)
        except Exception as defect:
            # An intent without an outcome would be tried again at once, for ever.
            log.exception("action_broke", stream=f"agent-{agent.name}")
            return f"the daemon met a defect of its own: {defect!r}"[:MAX_ERROR_CHARACTERS]
        return None

    async def _do(self, step: Step, agent: Agent) -> None:
        name = agent.name
        match step:
            case Step.BUILD:
                await self._runtime.build(await self._home.plan(name, agent.generation + 1))
            case Step.STOP:
                await self._runtime.stop(name, self._grace_seconds if agent.graceful else 0)
            case Step.REMOVE:
                await self._runtime.remove(name)
            case Step.CREATE:
                await self._runtime.create(await self._home.prepare(name, agent.generation + 1))
            case Step.START:
                await self._runtime.start(name)
            case Step.CLEAR:
                await self._home.close(name)
                if agent.purge:
                    await self._home.clear(name)

    async def _seen(self, agent: Agent) -> tuple[bool, int | None]:
        """Look whether the container runs after a failure, and in which generation."""
        try:
            async with asyncio.timeout(self._deadline_seconds):
                found = [container for container in await self._runtime.list() if container.name == agent.name]
        except Exception:
            log.exception("not_observed", stream=f"agent-{agent.name}")
            return agent.running, None  # nothing was seen; the crash watch looks again
        running = [container.generation for container in found if container.running]
        return bool(running), running[0] if running else None

    async def _runs(self, name: str, generation: int) -> bool:
        return any(
            found.running and found.generation == generation
            for found in await self._runtime.list()
            if found.name == name
        )


def _told(trouble: Exception) -> str:
    """Return the end of what it says; a path in it may have bytes that are no text, which no event can keep."""
    return str(trouble).encode(errors="backslashreplace").decode()[-MAX_ERROR_CHARACTERS:]
