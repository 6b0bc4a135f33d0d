"""Random verbs, crashes and deaths of the daemon by the thousand, against a plain model, with containers in memory."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from hyperhive.events.agents import AgentFact
from hyperhive.projections.agents import AGENTS
from hyperhive.projections.hive import Hive
from hyperhive.reactors.lifecycle import Home
from hyperhive.replay import verify
from hyperhive.runtimes.protocol import Container, RuntimeFailed, Spec
from tests.reactors.memory import MemoryRuntime
from tests.reactors.player import VERBS, Dead, Player, killed

STORIES = 1_000
CHUNKS = 4
LIVES = 3
STEPS = 24
EVERY_FACT = {kind.__name__ for kind in AGENTS.folds if issubclass(kind, AgentFact)} | {"HiveFrozen", "HiveThawed"}
EVERY_FACT -= {"AgentMoved"}  # the runtime in memory is the only one here
VERIFIED_EVERY = 10
"""The tables of one story in so many are compared row by row with the log; the fold in memory of each one."""


@attrs.frozen
class Slow:
    """The runtime as somebody sees it who is told late what was so."""

    runtime: MemoryRuntime
    dice: random.Random

    async def list(self) -> list[Container]:
        """Return what there was a while ago."""
        found = await self.runtime.list()
        for _ in range(self.dice.choice((0, 0, 3, 40))):
            await asyncio.sleep(0)
        return found


class World:
    """What outlives a daemon: the file, the containers, and loops that will never go on."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.dice = random.Random(seed)
        self.runtime = MemoryRuntime()
        self.crashes: Counter[tuple[str, int]] = Counter()
        self.asked: Counter[str] = Counter()
        """What was asked, and what came of it."""
        self.happened: Counter[str] = Counter()
        """What is in the log."""
        self.dead: list[Dead] = []

    async def prepare(self, name: str, generation: int) -> Spec:
        """Return a spec."""
        await self.runtime.moment()
        there = Path("/nowhere") / name
        return Spec(name=name, state=there, socket_dir=there, log=there / "log", generation=generation)

    async def clear(self, name: str) -> None:
        """Wipe."""
        await self.runtime.moment()
        assert not self.runtime.containers.get(name), f"{name} has a container, and is wiped"
        await self.runtime.moment()

    async def close(self, _name: str) -> None:
        """Close."""
        await self.runtime.moment()

    async def crash(self, name: str) -> None:
        """Let a program end, where it runs."""
        found = self.runtime.containers.get(name)
        if found is not None and found.running:
            self.crashes[name, found.generation] += 1
            self.runtime.crash(name)

    def player(self) -> Player:
        """Open the file as the next daemon does."""
        home = Home(plan=self.prepare, prepare=self.prepare, clear=self.clear, close=self.close)
        watched: Any = Slow(self.runtime, self.dice)
        often = self.dice.random() < 0.3
        return Player(self.path, self.runtime, home, watched, self.crash, self.dice, crashes_often=often)

    def running(self) -> dict[str, int]:
        """Who runs, in which generation."""
        return {name: found.generation for name, found in self.runtime.containers.items() if found.running}

    def live(self) -> None:
        """Let one daemon live for a while, and die."""
        player = self.player()

        async def life() -> None:
            beginning = asyncio.create_task(self._life(player))
            # It may die at any moment, its start included.
            for _ in range(self.dice.randrange(1_200)):
                if beginning.done():
                    break
                await asyncio.sleep(0)
            if beginning.done():
                await beginning

        self.dead.append(killed(life()))
        self.asked += player.asked
        player.log.close()

    async def _life(self, player: Player) -> None:
        self._reactor = await player.begin()
        for _ in range(STEPS):
            if self.dice.random() < 0.1:
                verb = self.dice.choice(("create", "start", "stop", "remove"))
                self.runtime.broken[verb] = RuntimeFailed(("tool",), 1, "it is broken")
            else:
                self.runtime.broken.clear()
            await player.step()

    def end(self) -> None:
        """Let a last daemon bring everything to its end in peace, and hold everything against everything."""
        self.runtime.broken.clear()
        player = self.player()

        async def life() -> None:
            reactor = await player.begin()
            await player.settle()
            player.agree(self.running())
            reactor.cancel()
            await asyncio.wait({reactor})

        asyncio.run(life())
        assert player.plain.seen <= self.crashes, "a crash that nobody saw, or one that was told twice"
        facts = player.log.read(1, player.log.head.position)
        folded = Hive()
        folded.fold_all(facts)
        assert folded.rows == player.dispatcher.hive.rows
        self.happened.update(fact.type for fact in facts)
        player.log.close()


def told(path: Path, migrated: Path, seed: int) -> World:
    """Tell one story to its end."""
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()
    shutil.copy(migrated, path)
    world = World(path, seed)
    try:
        for _ in range(LIVES):
            world.live()
        world.end()
    except AssertionError as error:
        error.add_note(f"in story {seed}")
        raise
    finally:
        for dead in world.dead:
            dead.bury()
    return world


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, where there is one: a thousand files are made, and no disk has to keep them."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="hh-", dir=shared if shared.is_dir() else tmp_path) as directory:
        yield Path(directory)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_thousand_stories(memory: Path, migrated: Path, chunk: int) -> None:
    """One outcome for each intent, no crash told twice, and what runs is what the log says; views equal the replay."""
    asked, happened = Counter[str](), Counter[str]()
    for seed in range(chunk, STORIES, CHUNKS):
        world = told(memory / "hive.sqlite", migrated, seed)
        asked += world.asked
        happened += world.happened
        if seed // CHUNKS % VERIFIED_EVERY == 0:
            verify.verify(world.path)
    # The stories are rich: every verb was done, and whatever can happen has happened.
    assert {word.partition(":")[0] for word in asked if word.endswith("done")} == set(VERBS)
    assert happened.keys() >= EVERY_FACT
