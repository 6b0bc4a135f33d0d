"""Random verbs, crashes and a killed daemon, by the dozen, on real sandboxes: nothing runs that nobody owns."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from hyperhive.events.log import read, read_only
from hyperhive.replay import verify
from hyperhive.runtimes import marks
from hyperhive.runtimes.bubblewrap import Bubblewrap
from tests.hive.live import processes_of
from tests.hive.verbs_daemon import PROGRAM
from tests.reactors.plain import Plain

pytestmark = [
    pytest.mark.hive,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
]

STORIES = 12
DEATHS = 2
STEPS = 40
REPOSITORY = Path(__file__).parents[2]
DEADLINE_SECONDS = 120


@attrs.frozen
class Story:
    """A place with a log, and the daemons that live on it."""

    root: Path
    hive: str

    def daemon(self, seed: int, steps: int) -> subprocess.Popen[str]:
        """Start a daemon."""
        argv = [sys.executable, "-m", "tests.hive.verbs_daemon", str(self.root), self.hive, str(seed), str(steps)]
        return subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=(self.root / "said").open("a"),
            text=True,
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
        )

    def plain(self) -> Plain:
        """Return the plain model after all that is in the log."""
        told = Plain()
        with contextlib.closing(read_only(self.root / "hive.sqlite")) as connection:
            for fact in read(connection):
                told.happens(fact.position, fact.type, attrs.asdict(fact.event), fact.at)
        return told

    def carriers(self) -> set[str]:
        """Return whose mark processes of this host carry."""
        return set(marks.scan(self.hive, believed=lambda _pid: True))

    async def stop_all(self) -> None:
        """End every sandbox."""
        runtime = Bubblewrap(run_dir=self.root / "run", hive=self.hive, program=PROGRAM)
        for found in await runtime.list():
            await runtime.stop(found.name, 0)


@pytest.fixture
def story(migrated: Path) -> Iterator[Story]:
    """A story that has not begun; nothing of it is left after."""
    root = Path(tempfile.mkdtemp(prefix="hh-", dir="/tmp"))
    shutil.copy(migrated, root / "hive.sqlite")
    (root / "run").mkdir()
    found = Story(root, uuid.uuid4().hex)
    try:
        yield found
    finally:
        asyncio.run(found.stop_all())
        shutil.rmtree(root)


@pytest.mark.parametrize("seed", range(STORIES))
def test_a_dozen_stories(story: Story, seed: int) -> None:
    """Killed twice at any moment, the third daemon ends it: one outcome for each intent, and no process nobody owns."""
    dice = random.Random(seed)
    for death in range(DEATHS):
        process = story.daemon(seed * DEATHS + death, STEPS)
        assert process.stdout is not None
        with process.stdout:
            for _ in range(dice.randrange(6, STEPS)):
                if process.stdout.readline() == "settled\n":
                    break
        process.kill()
        assert process.wait() in (-9, 0), (story.root / "said").read_text()
    last = story.daemon(seed, 0)
    out, _ = last.communicate(timeout=DEADLINE_SECONDS)
    assert (last.returncode, out.splitlines()[-1]) == (0, "settled"), (story.root / "said").read_text()

    told = story.plain()
    assert set(told.outcomes.values()) <= {1}
    assert told.idle
    crashes = story.root / "crashes"
    noted = Counter(crashes.read_text().split("\n")[:-1] if crashes.exists() else [])
    assert Counter(f"{name} {generation}" for name, generation in told.seen.elements()) <= noted
    verify.verify(story.root / "hive.sqlite")
    assert story.carriers() == set(told.running)
    asyncio.run(story.stop_all())
    assert story.carriers() == set()
    assert processes_of(story.root) == {}
