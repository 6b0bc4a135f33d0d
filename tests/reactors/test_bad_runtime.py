"""Tools that hang, fail and babble, and directories that are links: each a failure with a reason, not half a deed."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import attrs
import pytest

from hyperhive.commands.agents import Action, DestroyAgent, KillAgent, PurgeTombstone, SpawnAgent, StartAgent
from hyperhive.config import Directories
from hyperhive.events.agents import (
    DestroyFailed,
    DestroyRequested,
    DestroySucceeded,
    KillFailed,
    SpawnFailed,
    SpawnSucceeded,
    StartFailed,
)
from hyperhive.events.envelope import OPERATOR
from hyperhive.projections.agents import State
from hyperhive.reactors.lifecycle import MAX_ERROR_CHARACTERS, Home, Lifecycle
from hyperhive.runtimes.procfs import pids, variable
from hyperhive.runtimes.runner import check
from hyperhive.runtimes.runner import run as run_tool
from tests.reactors.memory import MemoryRuntime
from tests.reactors.stage import Stage, run
from tests.sockets.hall import Hall, hall

PATIENCE_SECONDS = 10.0


@attrs.define
class Tooled(MemoryRuntime):
    """A runtime that runs a tool before each start and stop, as those over a container manager do."""

    script: str = "true"
    deadline_seconds: float = 5.0

    async def start(self, name: str) -> None:
        """Run the tool, then start."""
        await check(["sh", "-c", self.script], deadline_seconds=self.deadline_seconds)
        await super().start(name)

    async def stop(self, name: str, grace_seconds: float) -> None:
        """Run the tool, then stop."""
        await check(["sh", "-c", self.script], deadline_seconds=self.deadline_seconds)
        await super().stop(name, grace_seconds)


def of_mark(mark: str) -> list[int]:
    """Return the processes that carry a mark in their environment."""
    return [pid for pid in pids() if variable(pid, "HH_MARK") == mark]


def gone(mark: str) -> bool:
    """Wait until no process carries a mark."""
    end = time.monotonic() + PATIENCE_SECONDS
    while of_mark(mark):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def marked(mark: str, script: str) -> str:
    """Let a script, and whatever it starts, carry a mark."""
    return f"HH_MARK={mark}; export HH_MARK; exec sh -c 'echo $HH_MARK; {script}'"


class TestTools:
    """What a tool may do."""

    @pytest.mark.parametrize("script", ["sleep 1000", 'trap "" TERM; sleep 1000 & sleep 1000 & wait'])
    def test_hangs(self, hive_db: Path, script: str) -> None:
        """It is killed at its deadline with all that it started, and the failure says how long it was given."""
        mark = f"{os.getpid()}-{abs(hash(script))}"
        stage = Stage(hive_db, Tooled(script=marked(mark, script), deadline_seconds=0.3))

        async def story() -> None:
            await stage.ask(SpawnAgent(actor=OPERATOR, agent="coder"))
            await stage.work()
            (_asked, failed) = stage.facts()
            assert isinstance(failed, SpawnFailed)
            assert failed.error == f"sh did not end within 0.3 s; it said: {mark}"
            assert stage.desk.hive.agents["coder"].pending is None

        run(story())
        assert gone(mark)

    def test_hangs_longer_than_the_verb_may(self, hive_db: Path) -> None:
        """Where the verb's own deadline comes first, the tool is killed as well."""
        mark = f"{os.getpid()}-verb"
        runtime = Tooled(script=marked(mark, "sleep 1000"), deadline_seconds=1_000)
        stage = Stage(hive_db, runtime, deadline_seconds=0.3)

        async def story() -> None:
            await stage.ask(SpawnAgent(actor=OPERATOR, agent="coder"))
            await stage.work()
            failed = stage.facts()[-1]
            assert failed == SpawnFailed(agent="coder", error="spawning did not end within 0.3 s")

        run(story())
        assert gone(mark)

    def test_fails(self, hive_db: Path) -> None:
        """The failure has its status and its last words; nothing runs, and it can be tried again."""
        runtime = Tooled(script="echo first; echo no such image >&2; exit 125")
        stage = Stage(hive_db, runtime)

        async def story() -> None:
            await stage.ask(SpawnAgent(actor=OPERATOR, agent="coder"))
            await stage.work()
            failed = stage.facts()[-1]
            assert failed == SpawnFailed(agent="coder", error="sh ended with status 125: first\nno such image")
            assert stage.desk.hive.agents["coder"].state is State.NEW
            assert not any(container.running for container in runtime.containers.values())
            runtime.script = "true"
            await stage.ask(SpawnAgent(actor=OPERATOR, agent="coder"))
            await stage.work()
            assert stage.facts()[-1] == SpawnSucceeded(agent="coder", generation=1)

        run(story())

    def test_is_not_there(self, hive_db: Path) -> None:
        """A tool that is missing is named."""
        runtime = Tooled(script="exec no-such-tool")
        stage = Stage(hive_db, runtime)

        async def story() -> None:
            await stage.ask(SpawnAgent(actor=OPERATOR, agent="coder"))
            await stage.work()
            failed = stage.facts()[-1]
            assert isinstance(failed, SpawnFailed)
            assert "status 127" in failed.error
            assert "no-such-tool" in failed.error

        run(story())

    def test_prints_100_megabytes(self, hive_db: Path) -> None:
        """The failure keeps the end of what it said, and the daemon hardly grows by it."""
        script = 'head -c 104857600 /dev/zero | tr "\\0" x; echo; echo the last words; exit 3'
        stage = Stage(hive_db, Tooled(script=script, deadline_seconds=60))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        async def story() -> None:
            await stage.ask(SpawnAgent(actor=OPERATOR, agent="coder"))
            await stage.work()
            failed = stage.facts()[-1]
            assert isinstance(failed, SpawnFailed)
            assert failed.error.endswith("x\nthe last words")
            assert len(failed.error) <= MAX_ERROR_CHARACTERS

        run(story())
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown_kib < 20_000

    def test_at_a_stop(self, hive_db: Path) -> None:
        """A stop that fails leaves a container that runs, shown as it is; nothing of it is wiped."""
        runtime = Tooled()
        stage = Stage(hive_db, runtime)

        still: dict[str, Any] = {"running": True, "generation": 1}

        async def story() -> None:
            await stage.spawn("coder")
            runtime.script = "echo busy; exit 1"
            await stage.ask(KillAgent(actor=OPERATOR, agent="coder"))
            await stage.work()
            assert stage.facts()[-1] == KillFailed(agent="coder", error="sh ended with status 1: busy", **still)
            await stage.ask(DestroyAgent(actor=OPERATOR, agent="coder", purge=True))
            await stage.work()
            assert stage.facts()[-2:] == [
                DestroyRequested(agent="coder", purge=True),
                DestroyFailed(agent="coder", error="sh ended with status 1: busy", **still),
            ]
            assert stage.desk.hive.agents["coder"].running
            assert runtime.acts == []

        run(story())

    def test_others_go_on(self, hive_db: Path) -> None:
        """While one agent's tool hangs, the others are served."""
        runtime = Tooled(script="true")
        stage = Stage(hive_db, runtime, deadline_seconds=1.0)

        async def story() -> None:
            runtime.hanging.add("start")
            await stage.ask(SpawnAgent(actor=OPERATOR, agent="slow"))
            hanging = stage.lifecycle.tick()
            while not runtime.stuck:
                await run_tool_once()
            runtime.hanging.clear()
            await stage.ask(SpawnAgent(actor=OPERATOR, agent="quick"))
            await stage.work()
            assert stage.desk.hive.agents["quick"].running
            assert stage.desk.hive.agents["slow"].pending is not None
            runtime.gone_on.set()
            for task in hanging:
                await task
            assert stage.desk.hive.agents["slow"].running

        run(story())


class TestState:
    """A state directory that is a symlink."""

    def test_of_a_new_agent(self, migrated: Path) -> None:
        """It is not spawned, the reason names the directory, and what the link leads to is left alone."""

        async def story(stage: Linked) -> None:
            stage.link("coder")
            await stage.ask(SpawnAgent(actor=OPERATOR, agent="coder"))
            failed = stage.last()
            assert isinstance(failed, SpawnFailed)
            assert failed.error == f"{stage.state('coder')} is not a directory (nor may it be a symlink); move it away"
            assert (stage.runtime.containers, stage.elsewhere()) == ({}, ["gold"])
            assert not stage.directories.agent_socket_dir("coder").exists()

        linked(story, migrated)

    def test_of_a_stopped_agent(self, migrated: Path) -> None:
        """Exchanged for a link while the agent was stopped, it is not started on that."""

        async def story(stage: Linked) -> None:
            await stage.ask(SpawnAgent(actor=OPERATOR, agent="coder"))
            await stage.ask(KillAgent(actor=OPERATOR, agent="coder"))
            stage.state("coder").rename(stage.state("coder").with_name("away"))
            stage.link("coder")
            await stage.ask(StartAgent(actor=OPERATOR, agent="coder"))
            failed = stage.last()
            assert isinstance(failed, StartFailed)
            assert "nor may it be a symlink" in failed.error
            assert (stage.runtime.containers["coder"].running, stage.elsewhere()) == (False, ["gold"])

        linked(story, migrated)

    def test_of_a_tombstone(self, migrated: Path) -> None:
        """A purge removes the link, and nothing behind it."""

        async def story(stage: Linked) -> None:
            await stage.ask(SpawnAgent(actor=OPERATOR, agent="coder"))
            await stage.ask(DestroyAgent(actor=OPERATOR, agent="coder"))
            stage.state("coder").rmdir()
            stage.link("coder")
            await stage.ask(PurgeTombstone(actor=OPERATOR, agent="coder"))
            assert stage.last() == DestroySucceeded(agent="coder", purge=True)
            assert (stage.directories.agent_dir("coder").exists(), stage.elsewhere()) == (False, ["gold"])

        linked(story, migrated)

    def test_agent_directory_that_is_one(self, migrated: Path) -> None:
        """A link in the place of all that is kept is refused by a purge, which then can be tried again."""

        async def story(stage: Linked) -> None:
            await stage.ask(SpawnAgent(actor=OPERATOR, agent="coder"))
            await stage.ask(DestroyAgent(actor=OPERATOR, agent="coder"))
            there = stage.directories.agent_dir("coder")
            there.rename(there.with_name("away"))
            there.symlink_to(stage.away)
            await stage.ask(PurgeTombstone(actor=OPERATOR, agent="coder"))
            failed = stage.last()
            assert isinstance(failed, DestroyFailed)
            assert "a symlink is not followed; move it away" in failed.error
            assert stage.elsewhere() == ["gold"]
            there.unlink()
            await stage.ask(PurgeTombstone(actor=OPERATOR, agent="coder"))
            assert stage.last() == DestroySucceeded(agent="coder", purge=True)

        linked(story, migrated)


@attrs.define
class Linked:
    """A lifecycle over real directories, and a place elsewhere that links lead to."""

    hall: Hall
    away: Path
    runtime: MemoryRuntime
    lifecycle: Lifecycle

    @property
    def directories(self) -> Directories:
        """The hive's directories."""
        return self.hall.directories

    def state(self, name: str) -> Path:
        """An agent's state directory."""
        return self.directories.agent_state(name)

    def link(self, name: str) -> None:
        """Put a link in the place of a state directory."""
        self.directories.agent_dir(name).mkdir(exist_ok=True)
        self.state(name).symlink_to(self.away)

    def elsewhere(self) -> list[str]:
        """Return what lies where the links lead."""
        return sorted(path.name for path in self.away.rglob("*"))

    def last(self) -> object:
        """Return the newest fact."""
        log = self.hall.desk.log
        return log.read(log.head.position, log.head.position)[0].event

    async def ask(self, command: Action) -> None:
        """Give a command and do its work."""
        await self.hall.desk.dispatcher.dispatch(command)
        for task in self.lifecycle.tick():
            await task


def linked(story: Callable[[Linked], Coroutine[Any, Any, None]], migrated: Path) -> None:
    """Play a story in a place of its own."""

    async def play(home: Path) -> None:
        away = home / "elsewhere"
        away.mkdir()
        (away / "gold").write_text("gold")
        async with hall(home, migrated) as here:
            runtime = MemoryRuntime()
            kept = here.homes
            homes = Home(plan=kept.plan, prepare=kept.prepare, clear=kept.clear, close=kept.close)
            limits = {"parallel": 4, "deadline_seconds": 10.0, "grace_seconds": 1.0}
            lifecycle = Lifecycle(here.desk.dispatcher, runtime, homes, **limits)  # type: ignore[arg-type]
            await story(Linked(here, away, runtime, lifecycle))

    with tempfile.TemporaryDirectory(prefix="hh-", dir="/tmp") as directory:
        run(play(Path(directory)))


async def run_tool_once() -> None:
    """Let the loop turn for as long as a small tool takes."""
    await run_tool(["true"], deadline_seconds=5)
