"""Plays random verbs on a daemon's reactors, with crashes and failures between them, and holds each against `plain`."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import attrs

from hyperhive.commands import agents, daemon
from hyperhive.commands.command import Command
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Refused
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR, Actor, Recorded, actor_of_agent
from hyperhive.events.log import Log
from hyperhive.projections import database
from hyperhive.reactors.adoption import adopt
from hyperhive.reactors.crash_watch import CrashWatch
from hyperhive.reactors.lifecycle import Home, Lifecycle
from hyperhive.runtimes.protocol import Runtime
from tests.language import DAWN
from tests.reactors.plain import Plain

NAMES = ("coder", "manager", "x" * 60)
VERBS: dict[str, Callable[[Actor, str], Command]] = {
    "spawn": lambda by, name: agents.SpawnAgent(actor=by, agent=name),
    "revive": lambda by, name: agents.ReviveAgent(actor=by, agent=name),
    "start": lambda by, name: agents.StartAgent(actor=by, agent=name),
    "kill": lambda by, name: agents.KillAgent(actor=by, agent=name),
    "restart": lambda by, name: agents.RestartAgent(actor=by, agent=name),
    "rebuild": lambda by, name: agents.RebuildAgent(actor=by, agent=name),
    "destroy": lambda by, name: agents.DestroyAgent(actor=by, agent=name),
    "purge": lambda by, name: agents.PurgeTombstone(actor=by, agent=name),
    "pause": lambda by, name: agents.SetPaused(actor=by, agent=name, paused=True),
    "resume": lambda by, name: agents.SetPaused(actor=by, agent=name, paused=False),
    "lift": lambda by, name: agents.LiftQuarantine(actor=by, agent=name),
    "freeze": lambda by, _name: daemon.FreezeHive(actor=by),
    "thaw": lambda by, _name: daemon.ThawHive(actor=by),
}
OFTEN = ("spawn", "spawn", "start", "start", "restart", "revive")
"""Verbs that let something run; without them soon nothing would."""
ACTORS = {"operator": OPERATOR, "manager": MANAGER, "agent": actor_of_agent("coder")}
PATIENCE_SECONDS = 60.0


@attrs.define
class Player:
    """One daemon's life on a log and a runtime that may have seen others."""

    path: Path
    runtime: Runtime
    home: Home
    watched: Runtime
    """The same as the crash watch sees it, who may be slow."""
    crash: Callable[[str], Awaitable[None]]
    """Ends an agent's program from outside, where it runs."""
    dice: random.Random
    deadline_seconds: float = 20.0
    crashes_often: bool = False
    moment: Callable[[], Awaitable[None]] = attrs.field(default=lambda: asyncio.sleep(0))
    """Lets the reactors go on by a little."""
    plain: Plain = attrs.field(factory=Plain)
    log: Log = attrs.field(init=False)
    dispatcher: Dispatcher = attrs.field(init=False)
    asked: Counter[str] = attrs.field(factory=Counter)
    """How often each verb was accepted, refused, or so already."""
    now: int = DAWN
    watch: CrashWatch = attrs.field(init=False)
    _looks: set[asyncio.Task[None]] = attrs.field(factory=set)
    """Of the crash watch; they take their time."""
    _asking: tuple[str, str, str] | None = None
    _right: list[list[str] | str] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.log, hive = database.open_hive(self.path)
        # What kills a daemon here is no power cut: the kernel still has what it wrote.
        self.log.connection.execute("PRAGMA synchronous=OFF")
        self.dispatcher = Dispatcher(self.log, hive, clock=self._clock, on_failure=_fail)
        self._happen(self.log.read(1, hive.position))
        self.dispatcher.listen(self._happen)
        self.watch = CrashWatch(self.dispatcher, self.watched)

    def _clock(self) -> int:
        self.now += self.dice.randrange(60) * 1_000_000
        return self.now

    def _happen(self, facts: list[Recorded]) -> None:
        for recorded in facts:
            self.now = max(self.now, recorded.at)
            self.plain.happens(recorded.position, recorded.type, attrs.asdict(recorded.event), recorded.at)
            if self._asking is not None and recorded.actor == str(DAEMON):
                self._right.append(self.plain.answer(*self._asking))

    async def begin(self) -> asyncio.Task[None]:
        """Do what a daemon does at its start; return its lifecycle reactor."""
        before = self.log.head.position
        await adopt(self.dispatcher, self.runtime, grace_seconds=1)
        came = self.log.read(before + 1, self.log.head.position)
        lost = [fact.position for fact in came if fact.type == "ContainerLost"]
        assert lost == [fact.causation for fact in came if fact.type == "StartRequested"], (
            "what is lost is started again"
        )
        await self.watch.tick()
        lifecycle = Lifecycle(
            self.dispatcher,
            self.runtime,
            self.home,
            parallel=2,
            deadline_seconds=self.deadline_seconds,
            grace_seconds=1,
        )
        return asyncio.create_task(lifecycle.run())

    async def step(self) -> None:
        """Do one thing, whichever."""
        match self.dice.randrange(10):
            case 0:
                await self.crash(self.dice.choice(NAMES))
            case 1:
                self._looks.add(asyncio.create_task(self.watch.tick()))
            case 2:
                await self.pause()
            case 3:
                await self.report_late()
            case 4 if self.crashes_often:
                await self.loop(self.dice.choice(NAMES))
            case _:
                verb = self.dice.choice((*VERBS, *OFTEN))
                name = self.dice.choice(NAMES)
                by = self.dice.choices(("operator", "manager", "agent"), (7, 2, 1))[0]
                await self.ask(verb, name, by)

    async def loop(self, name: str) -> None:
        """Crash again and again, with the manager starting it again, until it may not."""
        for _ in range(self.dice.randrange(9)):
            await self.crash(name)
            await self.watch.tick()
            await self.ask("start", name, "manager" if name != "manager" else "operator")
            if (life := self.plain.lives.get(name)) is not None and life.quarantined:
                await self.ask(self.dice.choice(("lift", "start", "restart")), name, "operator")
            for _ in range(4):
                await self.pause()

    async def pause(self) -> None:
        """Let the reactors go on for a while."""
        for _ in range(self.dice.randrange(12)):
            await self.moment()

    async def report_late(self) -> None:
        """Report once more on an intent that is closed; nobody may care."""
        closed = [position for position, outcomes in self.plain.outcomes.items() if outcomes]
        if closed:
            intent = self.dice.choice(closed)
            name = self.log.read(intent, intent)[0].event.agent
            error = self.dice.choice((None, "late"))
            late = agents.ReportOutcome(actor=DAEMON, agent=name, intent=intent, error=error)
            assert await self.dispatcher.dispatch(late) == ()

    async def ask(self, verb: str, name: str, by: str) -> None:
        """Give a command, and compare what comes of it.

        What the reactors report may be decided before it, in the same batch: then either answer is right.
        """
        self._asking = (verb, name, by)
        self._right = [self.plain.answer(verb, name, by)]
        try:
            facts = await self.dispatcher.dispatch(VERBS[verb](ACTORS[by], name))
            answer: list[str] | str = [fact.type for fact in facts]
        except Refused as refusal:
            answer = refusal.code
        self._asking = None
        self.asked[f"{verb}: {answer if isinstance(answer, str) else 'done' if answer else 'so already'}"] += 1
        assert answer in self._right, f"{by} asked for {verb} of {name}: {answer}, and right was {self._right}"

    async def settle(self) -> None:
        """Let everything that was begun come to its end, and look twice at what runs."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            if self._looks:
                await asyncio.wait(self._looks)
            for _ in range(2):
                while not self.plain.idle:
                    await self.moment()
                await self.watch.tick()

    def agree(self, running: dict[str, int]) -> None:
        """Hold the end against what runs: one outcome for each intent, and log, model and containers say the same."""
        assert set(self.plain.outcomes.values()) <= {1}, self.plain.outcomes
        assert self.plain.running == running
        shown = {agent.name: agent.generation for agent in self.dispatcher.hive.agents.values() if agent.running}
        assert shown == running
        for name, life in self.plain.lives.items():
            agent = self.dispatcher.hive.agents[name]
            assert (agent.state.value, agent.paused, agent.quarantined, agent.generation, agent.pending) == (
                life.state,
                life.paused,
                life.quarantined,
                life.generation,
                None,
            )


@attrs.frozen
class Dead:
    """A loop that stands still, and what was going on in it; a loop itself holds on to nothing that waits."""

    loop: asyncio.AbstractEventLoop
    tasks: set[asyncio.Task[Any]]

    def bury(self) -> None:
        """Clear it away, once nothing that it could still do is of any matter."""
        self.loop.set_exception_handler(lambda _loop, _context: None)
        for task in self.tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.wait(self.tasks) if self.tasks else asyncio.sleep(0))
        self.loop.close()


def killed(life: Coroutine[Any, Any, None]) -> Dead:
    """Run a daemon's life to its end, and leave whatever else goes on in it wherever it is, as SIGKILL does."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(life)
    return Dead(loop, asyncio.all_tasks(loop))


def _fail(error: Exception) -> None:
    raise error
