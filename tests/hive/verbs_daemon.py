"""A daemon's reactors over real sandboxes, playing random verbs until it is killed; started by `test_verbs`.

    python -m tests.hive.verbs_daemon PLACE HIVE SEED STEPS

With no steps it brings to its end what others began, and holds the end against what runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from pathlib import Path

from hyperhive.reactors.lifecycle import Home
from hyperhive.runtimes.bubblewrap import Bubblewrap
from hyperhive.runtimes.protocol import Spec
from hyperhive.wipe import wipe
from tests.reactors.player import NAMES, Player

PROGRAM = ("/bin/sh", "-c", "sleep 100000 & sleep 100000 & wait")
"""What stands for the harness: a program with children."""


class Place:
    """The directories of a hive, and its runtime."""

    def __init__(self, root: Path, hive: str) -> None:
        self.root = root
        self.runtime = Bubblewrap(run_dir=root / "run", hive=hive, program=PROGRAM)

    async def prepare(self, name: str, generation: int) -> Spec:
        """Make an agent's directories."""
        there = self.root / "agents" / name
        for directory in ("state", "socket", "kept"):
            (there / directory).mkdir(parents=True, exist_ok=True)
        (there / "state" / "notes").write_text("notes")
        return Spec(
            name=name,
            state=there / "state",
            socket_dir=there / "socket",
            log=there / "kept" / "harness.log",
            generation=generation,
        )

    async def clear(self, name: str) -> None:
        """Wipe them."""
        await asyncio.to_thread(wipe, self.root, "agents", name)

    async def close(self, _name: str) -> None:
        """There is no socket."""

    async def crash(self, name: str) -> None:
        """Kill an agent's program from outside, where it runs; note it first."""
        for found in await self.runtime.list():
            if found.name == name and found.running and found.pid is not None:
                with (self.root / "crashes").open("a") as noted:
                    noted.write(f"{name} {found.generation}\n")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(found.pid, signal.SIGKILL)

    async def running(self) -> dict[str, int]:
        """Who runs, in which generation."""
        return {found.name: found.generation for found in await self.runtime.list() if found.running}


async def main(root: Path, hive: str, seed: int, steps: int) -> None:
    """Live."""
    place = Place(root, hive)
    home = Home(plan=place.prepare, prepare=place.prepare, clear=place.clear, close=place.close)
    dice = random.Random(seed)
    player = Player(
        root / "hive.sqlite",
        place.runtime,
        home,
        place.runtime,
        place.crash,
        dice,
        crashes_often=True,
        moment=lambda: asyncio.sleep(0.015),
    )
    say("begins")
    reactor = await player.begin()
    if not player.plain.lives:
        for name in NAMES:
            await player.ask("spawn", name, "operator")
        await player.settle()
    for step in range(steps):
        say(str(step))
        await player.step()
    await player.settle()
    player.agree(await place.running())
    reactor.cancel()
    await asyncio.wait({reactor})
    player.log.close()
    say("settled")


def say(word: str) -> None:
    """Tell whoever may kill us where we are."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
