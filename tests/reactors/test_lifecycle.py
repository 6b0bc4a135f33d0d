"""The lifecycle reactor: what is done for each intent, what is told of it, and what holds when it goes wrong."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest

from hyperhive.commands.agents import (
    Action,
    DestroyAgent,
    KillAgent,
    RebuildAgent,
    RestartAgent,
    SpawnAgent,
    StartAgent,
)
from hyperhive.config import DirectoryError
from hyperhive.events import agents as facts
from hyperhive.events.envelope import OPERATOR
from hyperhive.events.log import LogFailed
from hyperhive.projections.agents import State
from hyperhive.reactors.lifecycle import MAX_ERROR_CHARACTERS
from hyperhive.runtimes.protocol import RuntimeFailed
from tests.reactors.memory import MemoryRuntime
from tests.reactors.stage import Stage, full, run, until


@attrs.frozen
class Case:
    """One verb: what it finds, what is done, and its two endings."""

    command: Action
    found: State
    acts: tuple[str, ...]
    succeeded: facts.AgentFact
    failed: type[facts.Failed]

    async def prepare(self, stage: Stage) -> None:
        """Bring the agent to where the verb finds it."""
        if self.found is State.NEW:
            return
        await stage.spawn("coder")
        if self.found is State.STOPPED:
            await stage.ask(KillAgent(actor=OPERATOR, agent="coder"))
            await stage.work()
            stage.runtime.acts.clear()


CODER: dict[str, Any] = {"actor": OPERATOR, "agent": "coder"}
CASES = {
    "spawn": Case(
        SpawnAgent(**CODER),
        State.NEW,
        ("build coder 1", "create coder 1", "start coder 1"),
        facts.SpawnSucceeded(agent="coder", generation=1),
        facts.SpawnFailed,
    ),
    "start": Case(
        StartAgent(**CODER),
        State.STOPPED,
        ("build coder 2", "create coder 2", "start coder 2"),
        facts.StartSucceeded(agent="coder", generation=2),
        facts.StartFailed,
    ),
    "kill": Case(
        KillAgent(**CODER),
        State.RUNNING,
        ("stop coder 7",),
        facts.KillSucceeded(agent="coder"),
        facts.KillFailed,
    ),
    "kill in a hurry": Case(
        KillAgent(**CODER, graceful=False),
        State.RUNNING,
        ("stop coder 0",),
        facts.KillSucceeded(agent="coder"),
        facts.KillFailed,
    ),
    "restart": Case(
        RestartAgent(**CODER),
        State.RUNNING,
        ("build coder 2", "stop coder 7", "create coder 2", "start coder 2"),
        facts.RestartSucceeded(agent="coder", generation=2),
        facts.RestartFailed,
    ),
    "restart of a stopped one": Case(
        RestartAgent(**CODER),
        State.STOPPED,
        ("build coder 2", "create coder 2", "start coder 2"),
        facts.RestartSucceeded(agent="coder", generation=2),
        facts.RestartFailed,
    ),
    "rebuild": Case(
        RebuildAgent(**CODER),
        State.RUNNING,
        ("build coder 2", "stop coder 7", "create coder 2", "start coder 2"),
        facts.RebuildSucceeded(agent="coder", generation=2),
        facts.RebuildFailed,
    ),
    "destroy": Case(
        DestroyAgent(**CODER),
        State.RUNNING,
        ("stop coder 7", "remove coder", "close coder"),
        facts.DestroySucceeded(agent="coder"),
        facts.DestroyFailed,
    ),
    "purge": Case(
        DestroyAgent(**CODER, purge=True),
        State.RUNNING,
        ("stop coder 7", "remove coder", "close coder", "clear coder"),
        facts.DestroySucceeded(agent="coder", purge=True),
        facts.DestroyFailed,
    ),
}
STEPS = [(name, verb) for name, case in CASES.items() for verb in dict.fromkeys(act.split()[0] for act in case.acts)]


@pytest.mark.parametrize("name", CASES)
class TestEachVerb:
    """Whatever holds for all of them."""

    def test_success(self, hive_db: Path, name: str) -> None:
        """Its steps are done in their order, its outcome follows from its intent, and then nothing is open."""
        case = CASES[name]

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await case.prepare(stage)
            before = stage.position
            await stage.ask(case.command)
            await stage.work()
            intent, outcome = stage.desk.log.read(before + 1, stage.position)
            assert tuple(stage.runtime.acts) == case.acts
            assert outcome.event == case.succeeded
            assert (outcome.actor, outcome.causation, outcome.correlation) == (
                "daemon",
                intent.position,
                intent.correlation,
            )
            assert stage.lifecycle.tick() == []

        run(story())

    def test_interrupted_anywhere(self, hive_db: Path, name: str, tmp_path: Path) -> None:
        """A daemon that ends at any moment of it leaves what the next one brings to the same end, with one outcome.

        No generation is started twice.
        """
        case = CASES[name]

        async def story(cut_at: int, path: Path) -> bool:
            """Cut at one moment; returns whether there was such a moment."""
            runtime = MemoryRuntime()
            stage = Stage(path, runtime)
            await case.prepare(stage)
            before = stage.position
            await stage.ask(case.command)
            runtime.cut_at = runtime.moments + cut_at
            (working,) = stage.lifecycle.tick()
            waiting = asyncio.create_task(runtime.cut.wait())
            await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
            was_cut = not working.done()
            for task in (working, waiting):
                task.cancel()
            await asyncio.gather(working, waiting, return_exceptions=True)
            runtime.cut_at = None
            stage = stage.next_daemon()
            await stage.work()
            _, *outcomes = stage.facts(before)
            starts = [act for act in runtime.acts if act.startswith("start")]
            assert outcomes == [case.succeeded], f"cut at moment {cut_at}"
            assert len(starts) == len(set(starts)), f"cut at moment {cut_at}: {starts}"
            assert {(name, found.running) for name, found in runtime.containers.items()} == {
                (name, row.running) for name, row in stage.desk.hive.agents.items() if row.state is not State.DESTROYED
            }
            assert stage.lifecycle.tick() == []
            stage.desk.log.close()
            return was_cut

        async def everywhere() -> None:
            cut_at = 1
            while await story(cut_at, Path(shutil.copy(hive_db, tmp_path / f"{cut_at}.sqlite"))):
                cut_at += 1
            assert cut_at > len(case.acts), "there was hardly a moment to cut"

        run(everywhere())

    def test_hangs(self, hive_db: Path, name: str) -> None:
        """What does not come to an end is given up at the deadline, and told as a failure."""
        case = CASES[name]
        verb = case.acts[0].split()[0]

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime(), deadline_seconds=0.05)
            await case.prepare(stage)
            before = stage.position
            await stage.ask(case.command)
            stage.runtime.hanging.add(verb)
            await stage.work()
            _, outcome = stage.facts(before)
            assert isinstance(outcome, case.failed)
            assert outcome.error.endswith("did not end within 0.05 s")
            assert outcome.running is (case.found is State.RUNNING)
            assert stage.runtime.ended == [f"{verb} coder"]
            assert stage.desk.hive.agents["coder"].pending is None

        run(story())


class TestFailures:
    """Things that go wrong on the way."""

    @pytest.mark.parametrize(("name", "verb"), STEPS)
    def test_each_step(self, hive_db: Path, name: str, verb: str) -> None:
        """A step that fails ends the intent with the reason and with what really runs; asked again, it may succeed."""
        case = CASES[name]

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await case.prepare(stage)
            before = stage.position
            await stage.ask(case.command)
            trouble = RuntimeFailed(["tool", "--flag"], 3, "it is broken\n")
            stage.runtime.broken[verb] = stage.homes.broken[verb] = trouble
            await stage.work()
            _, outcome = stage.facts(before)
            left = stage.runtime.containers.get("coder")
            generation = left.generation if left is not None and left.running else None
            assert outcome == case.failed(
                agent="coder",
                error="tool ended with status 3: it is broken",
                running=generation is not None,
                generation=generation,
            )
            row = stage.desk.hive.agents["coder"]
            assert (row.pending, row.running) == (None, generation is not None)
            stage.runtime.broken.clear()
            stage.homes.broken.clear()
            await stage.ask(case.command)
            await stage.work()
            assert stage.facts(before)[-1] == case.succeeded
            assert all(row.pending is None for row in stage.desk.hive.agents.values())

        run(story())

    @pytest.mark.parametrize("verb", ["rebuild", "restart"])
    @pytest.mark.parametrize("broken", ["plan", "build"])
    def test_nothing_to_start(self, hive_db: Path, verb: str, broken: str) -> None:
        """Where the next container cannot be built, the one that runs is not touched, and is known to run."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.spawn("coder")
            before = dict(stage.runtime.containers)
            await stage.ask(CASES[verb].command)
            trouble = RuntimeFailed(["podman", "build"], 125, "no such file")
            stage.runtime.broken[broken] = stage.homes.broken[broken] = trouble
            await stage.work()
            assert stage.runtime.acts == []
            assert stage.runtime.containers == before
            row = stage.desk.hive.agents["coder"]
            assert (row.running, row.generation, row.error) == (True, 1, str(trouble))

        run(story())

    def test_daemon_dies_before_the_stop(self, hive_db: Path) -> None:
        """Between the build and the stop the old container still runs; the next daemon begins with the build again."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.spawn("coder")
            await stage.ask(RebuildAgent(**CODER))
            stage.runtime.hanging.add("stop")
            (working,) = stage.lifecycle.tick()
            await until(lambda: stage.runtime.stuck)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            assert stage.runtime.containers["coder"].generation == 1
            assert stage.runtime.containers["coder"].running
            stage.runtime.hanging.clear()
            stage = stage.next_daemon()
            await stage.work()
            assert tuple(stage.runtime.acts) == ("build coder 2", *CASES["rebuild"].acts)
            assert stage.facts()[-1] == CASES["rebuild"].succeeded

        run(story())

    @pytest.mark.parametrize(
        ("trouble", "told"),
        [
            (DirectoryError("no permission to write in /data"), "no permission to write in /data"),
            (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
            (ValueError("a defect"), "the daemon met a defect of its own: ValueError('a defect')"),
            (DirectoryError("/data/\udcff is full"), "/data/\\udcff is full"),
            (DirectoryError("x" * 9_000 + "the end"), "x" * (MAX_ERROR_CHARACTERS - 7) + "the end"),
        ],
    )
    def test_reasons(self, hive_db: Path, trouble: Exception, told: str) -> None:
        """Whatever goes wrong at home is the intent's failure, told in its own words, of which the end counts most."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.ask(SpawnAgent(**CODER))
            stage.homes.broken["plan"] = trouble
            await stage.work()
            assert stage.facts()[-1] == facts.SpawnFailed(agent="coder", error=told)

        run(story())

    @pytest.mark.parametrize("hangs", [False, True])
    def test_nothing_can_be_seen(self, hive_db: Path, hangs: bool) -> None:
        """Where not even looking works, the outcome is told all the same, with what the log knew before."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime(), deadline_seconds=0.05)
            await stage.spawn("coder")
            await stage.ask(KillAgent(**CODER))
            stage.runtime.broken["stop"] = RuntimeFailed(["tool"], 1, "no")
            if hangs:
                stage.runtime.hanging.add("list")
            else:
                stage.runtime.broken["list"] = ValueError("a defect")
            await stage.work()
            assert stage.facts()[-1] == facts.KillFailed(
                agent="coder", error="tool ended with status 1: no", running=True
            )

        run(story())

    def test_log_without_room(self, hive_db: Path) -> None:
        """While the log has no room for the outcome, the work is not done again; once it has, the outcome is told."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.ask(SpawnAgent(**CODER))
            stage.homes.broken["plan"] = DirectoryError("it is broken")
            async with full(stage.desk):
                tried = stage.desk.statements.count("BEGIN IMMEDIATE")
                working = asyncio.gather(*stage.lifecycle.tick())
                await until(lambda: stage.desk.statements.count("BEGIN IMMEDIATE") >= tried + 3)
                assert stage.lifecycle.tick() == []
            await working
            assert [type(fact) for fact in stage.facts() if isinstance(fact, facts.AgentFact)] == [
                facts.SpawnRequested,
                facts.SpawnFailed,
            ]
            assert stage.runtime.moments == 5, "the work was done once: a look, a failed preparation, another look"

        run(story())

    def test_log_that_failed(self, hive_db: Path) -> None:
        """Where the log fails for good, nothing is begun again at full speed while the daemon ends."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.ask(SpawnAgent(**CODER))
            stage.desk.log.close()
            with pytest.raises(LogFailed):
                await stage.ask(SpawnAgent(actor=OPERATOR, agent="abel"))
            reactor = asyncio.create_task(stage.lifecycle.run())
            for _ in range(200):
                await asyncio.sleep(0)
            assert [act for act in stage.runtime.acts if act.endswith("coder 1")] == list(CASES["spawn"].acts)
            assert stage.runtime.moments < 20
            reactor.cancel()

        run(story())


class TestSeveral:
    """Many agents, one reactor."""

    def test_parallel(self, hive_db: Path) -> None:
        """So many agents are worked on at once, and no more; the others follow."""
        names = [f"a{number}" for number in range(7)]

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime(), parallel=3)
            await stage.ask(*(SpawnAgent(actor=OPERATOR, agent=name) for name in names))
            stage.runtime.hanging.add("start")
            working = asyncio.gather(*stage.lifecycle.tick())
            await until(lambda: stage.runtime.stuck == 3)
            for _ in range(50):
                await asyncio.sleep(0)
            assert stage.runtime.busy == 3
            stage.runtime.gone_on.set()
            await working
            assert stage.runtime.busiest == 3
            assert {name for name, row in stage.desk.hive.agents.items() if row.running} == set(names)

        run(story())

    def test_one_action_per_agent(self, hive_db: Path) -> None:
        """An agent that is worked on is not worked on a second time, however often the reactor looks."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.ask(SpawnAgent(**CODER))
            begun = [stage.lifecycle.tick(), stage.lifecycle.tick()]
            assert [len(tasks) for tasks in begun] == [1, 0]
            await asyncio.gather(*begun[0])
            assert stage.runtime.acts == ["build coder 1", "create coder 1", "start coder 1"]

        run(story())

    def test_one_that_hangs(self, hive_db: Path) -> None:
        """An agent that hangs does not hold up another."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.spawn("stuck")
            await stage.ask(KillAgent(actor=OPERATOR, agent="stuck"), SpawnAgent(**CODER))
            stage.runtime.hanging.add("stop")
            working = stage.lifecycle.tick()
            await until(lambda: stage.desk.hive.agents["coder"].running)
            stage.runtime.gone_on.set()
            await asyncio.gather(*working)
            assert not stage.desk.hive.agents["stuck"].running

        run(story())

    def test_loop(self, hive_db: Path) -> None:
        """The loop takes up what is open when it begins, and whatever comes later, also for the same agent."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.ask(SpawnAgent(**CODER))
            reactor = asyncio.create_task(stage.lifecycle.run())
            await until(lambda: stage.desk.hive.agents["coder"].running)
            await stage.ask(RestartAgent(**CODER), SpawnAgent(actor=OPERATOR, agent="abel"))
            await until(lambda: not any(row.pending for row in stage.desk.hive.agents.values()))
            assert stage.desk.hive.agents["coder"].generation == 2
            assert stage.desk.hive.agents["abel"].running
            reactor.cancel()

        run(story())

    def test_end_of_the_loop(self, hive_db: Path) -> None:
        """When the loop has ended nothing works any more: what was under way was given up, and has no outcome."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.ask(SpawnAgent(**CODER), SpawnAgent(actor=OPERATOR, agent="abel"))
            stage.runtime.hanging.add("start")
            reactor = asyncio.create_task(stage.lifecycle.run())
            await until(lambda: stage.runtime.stuck == 2)
            reactor.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reactor
            assert stage.runtime.busy == 0
            assert sorted(stage.runtime.ended) == ["start abel", "start coder"]
            assert {row.pending for row in stage.desk.hive.agents.values()} == {"spawning"}

        run(story())


class TestGenerations:
    """Which generation runs, after something went wrong half-way."""

    def test_what_a_failed_start_left_running(self, hive_db: Path) -> None:
        """A restart that failed after its container ran is believed in that; the next one starts another generation."""

        async def story() -> None:
            stage = Stage(hive_db, MemoryRuntime())
            await stage.spawn("coder")
            stage.runtime.broken_after["start"] = RuntimeFailed(["tool"], 1, "late")
            await stage.ask(RestartAgent(**CODER))
            await stage.work()
            row = stage.desk.hive.agents["coder"]
            assert (row.state, row.generation, row.error) == (State.RUNNING, 2, "tool ended with status 1: late")
            await stage.ask(RestartAgent(**CODER))
            await stage.work()
            assert stage.desk.hive.agents["coder"].generation == 3
            assert stage.runtime.containers["coder"].generation == 3

        run(story())
