"""The crash watch: what stopped by itself is noted, once, and nothing else is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hyperhive.commands.agents import DestroyAgent, KillAgent, ReportOutcome, RestartAgent, SpawnAgent, StartAgent
from hyperhive.events.agents import AgentFact, ContainerCrashed
from hyperhive.events.envelope import DAEMON, OPERATOR
from hyperhive.reactors.crash_watch import CrashWatch
from hyperhive.runtimes.protocol import RuntimeFailed
from tests.reactors.memory import MemoryRuntime
from tests.reactors.stage import Stage, run


async def watched(path: Path, *names: str, seeded: bool = True) -> tuple[Stage, CrashWatch]:
    """Let agents run, with a watch that has had its first look."""
    stage = Stage(path, MemoryRuntime())
    await stage.spawn(*names)
    watch = CrashWatch(stage.desk.dispatcher, stage.runtime)
    if seeded:
        await watch.tick()
    return stage, watch


def crashes(stage: Stage) -> list[ContainerCrashed]:
    """Return what was noted."""
    return [fact for fact in stage.facts() if isinstance(fact, ContainerCrashed)]


class TestCrash:
    """Running, and then stopped."""

    def test_reported_once(self, hive_db: Path) -> None:
        """A crash is noted with generation and exit status, once, and its agent counts as stopped."""

        async def story() -> None:
            stage, watch = await watched(hive_db, "coder", "abel")
            stage.runtime.crash("coder", 137)
            for _ in range(3):
                await watch.tick()
            assert crashes(stage) == [ContainerCrashed(agent="coder", generation=1, exit_status=137)]
            assert [stage.desk.hive.agents[name].running for name in ("coder", "abel")] == [False, True]

        run(story())

    def test_first_look(self, hive_db: Path) -> None:
        """The first look only learns what runs: who is stopped then may have been for long. The second look tells."""

        async def story() -> None:
            stage, watch = await watched(hive_db, "coder", seeded=False)
            stage.runtime.crash("coder")
            await watch.tick()
            assert crashes(stage) == []
            await watch.tick()
            assert len(crashes(stage)) == 1

        run(story())

    def test_gone(self, hive_db: Path) -> None:
        """A container that is not there at all any more has crashed, too, with a status that nobody knows."""

        async def story() -> None:
            stage, watch = await watched(hive_db, "coder")
            del stage.runtime.containers["coder"]
            await watch.tick()
            assert crashes(stage) == [ContainerCrashed(agent="coder", generation=1)]

        run(story())

    def test_again_after_a_start(self, hive_db: Path) -> None:
        """Each generation may crash."""

        async def story() -> None:
            stage, watch = await watched(hive_db, "coder")
            for _ in range(2):
                stage.runtime.crash("coder")
                await watch.tick()
                await stage.ask(StartAgent(actor=OPERATOR, agent="coder"))
                await stage.work()
            assert [crash.generation for crash in crashes(stage)] == [1, 2]

        run(story())

    def test_nothing_seen(self, hive_db: Path) -> None:
        """A look that fails notes nothing, and the next one does."""

        async def story() -> None:
            stage, watch = await watched(hive_db, "coder")
            stage.runtime.crash("coder")
            stage.runtime.broken["list"] = RuntimeFailed(["tool"], 1, "busy")
            with pytest.raises(RuntimeFailed):
                await watch.tick()
            assert crashes(stage) == []
            stage.runtime.broken.clear()
            await watch.tick()
            assert len(crashes(stage)) == 1

        run(story())


class TestNoCrash:
    """Stopped because somebody asked for it."""

    @pytest.mark.parametrize(
        "command",
        [
            KillAgent(actor=OPERATOR, agent="coder"),
            RestartAgent(actor=OPERATOR, agent="coder"),
            DestroyAgent(actor=OPERATOR, agent="coder"),
        ],
    )
    def test_asked_for(self, hive_db: Path, command: KillAgent | RestartAgent | DestroyAgent) -> None:
        """What stops while that is under way, and after it was done, is no crash."""

        async def story() -> None:
            stage, watch = await watched(hive_db, "coder")
            await stage.ask(command)
            stage.runtime.crash("coder")
            await watch.tick()
            await stage.work()
            await watch.tick()
            assert crashes(stage) == []

        run(story())

    @pytest.mark.parametrize("command", [KillAgent, RestartAgent])
    def test_asked_for_while_looking(self, hive_db: Path, command: type[KillAgent | RestartAgent]) -> None:
        """What was asked for after the watch looked, and before it told, is no crash."""

        async def story() -> None:
            stage, watch = await watched(hive_db, "coder")
            stage.runtime.hanging.add("list")
            looking = asyncio.create_task(watch.tick())
            await asyncio.sleep(0)
            await stage.ask(command(actor=OPERATOR, agent="coder"))
            stage.runtime.crash("coder")
            stage.runtime.gone_on.set()
            await looking
            assert crashes(stage) == []

        run(story())

    def test_restarted_while_looking(self, hive_db: Path) -> None:
        """A whole restart between looking and telling leaves an observation of an older life, which is dropped."""

        async def story() -> None:
            stage, watch = await watched(hive_db, "coder")
            stage.runtime.hanging.add("list")
            looking = asyncio.create_task(watch.tick())
            await asyncio.sleep(0)
            (asked,) = await stage.desk.dispatcher.dispatch(RestartAgent(actor=OPERATOR, agent="coder"))
            await stage.desk.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=asked.position))
            assert stage.desk.hive.agents["coder"].generation == 2
            stage.runtime.crash("coder")
            stage.runtime.gone_on.set()
            await looking
            assert crashes(stage) == []

        run(story())

    def test_purged_while_looking(self, hive_db: Path) -> None:
        """An agent that is gone altogether has not crashed."""

        async def story() -> None:
            stage, watch = await watched(hive_db, "coder")
            stage.runtime.hanging.add("list")
            looking = asyncio.create_task(watch.tick())
            await asyncio.sleep(0)
            (asked,) = await stage.desk.dispatcher.dispatch(DestroyAgent(actor=OPERATOR, agent="coder", purge=True))
            await stage.desk.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=asked.position))
            del stage.runtime.containers["coder"]
            stage.runtime.gone_on.set()
            await looking
            assert crashes(stage) == []

        run(story())

    def test_not_spawned_yet(self, hive_db: Path) -> None:
        """An agent that was asked for and does not run yet has not crashed."""

        async def story() -> None:
            stage, watch = await watched(hive_db, "coder")
            await stage.ask(SpawnAgent(actor=OPERATOR, agent="abel"))
            before: list[AgentFact] = stage.facts()
            await watch.tick()
            assert stage.facts() == before

        run(story())
