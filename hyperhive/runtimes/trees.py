"""Trees that containers are made of, each named by the digest of what it came from; nobody writes to one.

Several hives, and a `hyperhive doctor` beside them, may share the place where they lie.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from hyperhive.wipe import apart, wipe

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 0.05
_DIGEST = re.compile(r"[0-9a-f]{64}")
_GONE = ".gone"


@asynccontextmanager
async def alone(place: Path) -> AsyncIterator[None]:
    """Be the only one, of every process of this machine, who lays trees out there or discards them."""
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


def partial(tree: Path) -> Path:
    """Return an empty directory to lay a tree out in, which then takes the tree's place; for who is `alone` there."""
    name = f"{tree.name}.part"
    wipe(tree.parent, name)
    made = tree.parent / name
    made.mkdir(mode=0o700)
    return made


def others(place: Path, keep: Collection[str]) -> set[str]:
    """Return the trees that lie there beside these."""
    try:
        names = {path.name for path in place.iterdir()}
    except FileNotFoundError:
        return set()
    return {name for name in names if _DIGEST.fullmatch(name) and name not in keep}


def untidy(place: Path, keep: Collection[str]) -> bool:
    """Whether there is more than these trees: others, or what an earlier sweep has left of some."""
    return bool(others(place, keep) or (place.is_dir() and _gone(place)))


def set_aside(place: Path, keep: Collection[str]) -> set[str]:
    """Give up every tree but these and those that somebody has mounted, which are returned; for who is `alone` there.

    What is given up has another name at once, so that a half removed tree is never taken for a whole one.
    """
    found = others(place, keep)
    used = mounted(found) if found else set()
    for name in found - used:
        (place / name).rename(place / f"{name}{_GONE}")
    return used


def sweep(place: Path, stopped: Callable[[], bool] = lambda: False) -> None:
    """Remove what was given up; of a system that takes seconds. Raises `WipeStopped`; the next one goes on."""
    while gone := _gone(place):
        for path in gone:
            wipe(place, path.name, stopped=stopped)


class Sweeper:
    """Sweeps a place while other work goes on; with the end of the daemon it stops, and the next one goes on."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def sweep(self, place: Path) -> None:
        """Begin, where it is not under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._sweep(place))

    async def _sweep(self, place: Path) -> None:
        try:
            await apart(lambda stopped: sweep(place, stopped))
        except OSError as error:
            _log.warning("old_images_stay", directory=str(place), error=str(error))


def _gone(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.suffix == _GONE and _DIGEST.fullmatch(path.stem)]


def mounted(names: Collection[str], proc: Path = Path("/proc")) -> set[str]:
    """Return which of these names are part of what is mounted somewhere, for whichever process.

    A process that this user may not look into is another user's, and so are its trees.
    """
    found: set[str] = set()
    seen: set[str] = set()
    for process in proc.glob("[0-9]*"):
        # Gone by now, or somebody else's.
        with suppress(OSError):
            namespace = str((process / "ns/mnt").readlink())
            if namespace not in seen:
                for line in (process / "mountinfo").read_text(errors="surrogateescape").splitlines():
                    # The fourth word is what of its file system is mounted, proc(5).
                    found |= set(names).intersection(line.split(" ")[3].split("/"))
                seen.add(namespace)
    return found
