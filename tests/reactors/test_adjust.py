"""Other limits for a lifecycle that is at work."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hyperhive.commands.agents import KillAgent, SpawnAgent
from hyperhive.events.agents import SpawnFailed
from hyperhive.events.envelope import OPERATOR
from tests.reactors.memory import MemoryRuntime
from tests.reactors.stage import GRACE_SECONDS, Stage, run, until

NAMES = tuple(f"agent-{number}" for number in range(8))


def test_parallel(hive_db: Path) -> None:
    """What is begun from now on keeps to the new number; what waited before keeps to the old one, and all is done."""
    runtime = MemoryRuntime()
    stage = Stage(hive_db, runtime, parallel=1)

    async def story() -> None:
        await stage.spawn(*NAMES)
        runtime.busiest = 0
        stage.lifecycle.adjust(parallel=4, deadline_seconds=10.0, grace_seconds=3.0)
        await stage.ask(*(KillAgent(actor=OPERATOR, agent=name) for name in NAMES))
        await stage.work()
        assert runtime.busiest == 4
        assert runtime.acts == [f"stop {name} 3" for name in NAMES]

    run(story())


def test_at_work(hive_db: Path) -> None:
    """An adjustment while something is under way loses nothing of it."""
    runtime = MemoryRuntime()
    stage = Stage(hive_db, runtime, parallel=1)

    async def story() -> None:
        runtime.hanging.add("start")
        await stage.ask(*(SpawnAgent(actor=OPERATOR, agent=name) for name in NAMES))
        working = stage.lifecycle.tick()
        await until(lambda: runtime.stuck == 1)
        stage.lifecycle.adjust(parallel=2, deadline_seconds=10.0, grace_seconds=GRACE_SECONDS)
        runtime.gone_on.set()
        await asyncio.gather(*working)
        assert all(stage.desk.hive.agents[name].running for name in NAMES)

    run(story())


def test_deadline(hive_db: Path) -> None:
    """A new deadline holds for what begins after."""
    runtime = MemoryRuntime()
    stage = Stage(hive_db, runtime, deadline_seconds=1_000.0)

    async def story() -> None:
        stage.lifecycle.adjust(parallel=4, deadline_seconds=0.05, grace_seconds=GRACE_SECONDS)
        runtime.hanging.add("start")
        await stage.ask(SpawnAgent(actor=OPERATOR, agent="coder"))
        await stage.work()
        assert stage.facts()[-1] == SpawnFailed(agent="coder", error="spawning did not end within 0.05 s")

    run(story())
