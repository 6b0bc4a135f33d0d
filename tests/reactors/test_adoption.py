"""A daemon that starts: what runs is taken over, what does not is started again, what nobody owns is stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperhive.commands.agents import DestroyAgent, KillAgent, RestartAgent
from hyperhive.events import agents as facts
from hyperhive.events.envelope import OPERATOR
from hyperhive.reactors.adoption import adopt
from hyperhive.runtimes.protocol import RuntimeTimeout
from tests.reactors.memory import MemoryRuntime
from tests.reactors.stage import Stage, run


async def adopted(stage: Stage) -> list[object]:
    """Begin another daemon, and return what it noted."""
    before = stage.position
    await adopt(stage.desk.dispatcher, stage.runtime, grace_seconds=3)
    return stage.facts(before)


class TestAdopt:
    """Log and containers, brought together."""

    def test_what_runs_runs_on(self, hive_db: Path) -> None:
        """An agent that runs, and should, is left alone: no fact, no act."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.spawn("coder")
            stage = stage.next_daemon()
            assert await adopted(stage) == []
            assert stage.runtime.acts == []

        run(story())

    def test_lost(self, hive_db: Path) -> None:
        """An agent that should run and does not is noted as lost, and asked to start because of that."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.spawn("coder")
            stage.runtime.crash("coder")
            stage = stage.next_daemon()
            before = stage.position
            assert await adopted(stage) == [
                facts.ContainerLost(agent="coder", generation=1),
                facts.StartRequested(agent="coder"),
            ]
            lost, start = stage.desk.log.read(before + 1, stage.position)
            assert start.causation == lost.position
            await stage.work()
            assert stage.runtime.acts == ["build coder 2", "create coder 2", "start coder 2"]

        run(story())

    def test_stopped_stays_stopped(self, hive_db: Path) -> None:
        """An agent that somebody stopped is not started."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.spawn("coder")
            await stage.ask(KillAgent(actor=OPERATOR, agent="coder"))
            await stage.work()
            assert await adopted(stage.next_daemon()) == []

        run(story())

    @pytest.mark.parametrize("command", [KillAgent, DestroyAgent])
    def test_runs_though_stopped(self, hive_db: Path, command: type[KillAgent | DestroyAgent]) -> None:
        """A container that runs although its agent is stopped, or destroyed, is stopped."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.spawn("coder")
            await stage.ask(command(actor=OPERATOR, agent="coder"))
            await stage.work()
            stage.runtime.run("coder", 1)
            stage.runtime.acts.clear()
            stage = stage.next_daemon()
            assert await adopted(stage) == [facts.ContainerReaped(agent="coder", reason="the log has it stopped")]
            assert stage.runtime.acts == ["stop coder 3"]

        run(story())

    def test_runs_unknown(self, hive_db: Path) -> None:
        """A container of an agent that the log does not know is stopped."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            stage.runtime.run("stranger", 4)
            assert await adopted(stage) == [
                facts.ContainerReaped(agent="stranger", reason="the log knows no such agent")
            ]
            assert not stage.runtime.containers["stranger"].running

        run(story())

    def test_will_not_die(self, hive_db: Path) -> None:
        """A container that cannot be stopped does not keep the daemon from starting."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            stage.runtime.run("stranger", 1)
            stage.runtime.broken["stop"] = RuntimeTimeout("h-stranger did not die", deadline_seconds=10)
            assert await adopted(stage) == []

        run(story())

    @pytest.mark.parametrize("command", [KillAgent, RestartAgent, DestroyAgent])
    @pytest.mark.parametrize("runs", [True, False])
    def test_open_intent(
        self, hive_db: Path, command: type[KillAgent | RestartAgent | DestroyAgent], runs: bool
    ) -> None:
        """An agent with an intent that is open is left to the lifecycle, whether it runs or not."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.spawn("coder")
            await stage.ask(command(actor=OPERATOR, agent="coder"))
            if not runs:
                stage.runtime.crash("coder")
            stage = stage.next_daemon()
            assert await adopted(stage) == []
            assert stage.runtime.acts == []

        run(story())
