"""Takes git objects out of a repository that an agent can write to, without running git there or following anything.

Only the files that hold objects are copied, each opened by handle and without following links: no configuration, no
hooks, no attributes, no alternates, no references. What the copy holds is proven by git in a repository of the host's.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from hyperhive import handles
from hyperhive.repositories.errors import BadProposal, NoSuchRepository

MAX_BYTES = 64 * 1_048_576
MAX_FILES = 20_000
"""Of one repository's objects."""

_FAN_OUT = re.compile(r"[0-9a-f]{2}")
_LOOSE = re.compile(r"[0-9a-f]{38}")
_PACK = re.compile(r"pack-[0-9a-f]{40}\.pack")
_CHUNK_BYTES = 1_048_576


class _Budget:
    """What may still be copied."""

    def __init__(self) -> None:
        self.bytes = MAX_BYTES
        self.files = MAX_FILES

    def take(self, size: int) -> None:
        self.bytes -= size
        if self.bytes < 0:
            raise BadProposal(f"the repository has more than {MAX_BYTES >> 20} MiB of objects; begin it anew")

    def file(self) -> None:
        self.files -= 1
        if self.files < 0:
            raise BadProposal(
                f"the repository has more than {MAX_FILES} files of objects; run git gc, or begin it anew"
            )


def copy(root: Path, *path: str, to: Path) -> list[Path]:
    """Copy the objects of the repository at ``path`` below a trusted root into the objects directory ``to``.

    Loose objects come to their place; packs are returned, because their index has to be made anew. Raises
    `NoSuchRepository`, `BadProposal` for one that is too large.
    """
    budget = _Budget()
    packs: list[Path] = []
    try:
        with handles.below(root, *path, ".git", "objects") as objects:
            inside = _names(objects, budget)
            for fan_out in sorted(filter(_FAN_OUT.fullmatch, inside)):
                (to / fan_out).mkdir(exist_ok=True)
                _copy_all(objects, fan_out, _LOOSE, to, budget)
            if "pack" in inside:
                packs = _copy_all(objects, "pack", _PACK, to, budget)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoSuchRepository(f"no git repository in {'/'.join(path)}: {error.strerror}") from None
    except OSError as error:
        raise BadProposal(f"the repository in {'/'.join(path)} cannot be read: {error.strerror}") from None
    return packs


def _copy_all(objects: int, name: str, wanted: re.Pattern[str], to: Path, budget: _Budget) -> list[Path]:
    with handles.step(objects, name, Path(name)) as directory:
        copied = [to / name / found for found in filter(wanted.fullmatch, _names(directory, budget))]
        for target in copied:
            _copy(directory, target, budget)
    return copied


def _names(directory: int, budget: _Budget) -> list[str]:
    names = []
    with handles.readable(directory) as listed, os.scandir(listed) as entries:
        for entry in entries:
            budget.file()
            names.append(entry.name)
    return names


def _copy(directory: int, target: Path, budget: _Budget) -> None:
    source = os.open(target.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            raise BadProposal(f"the object {target.name} is no regular file")
        with target.open("xb") as copied:
            while chunk := os.read(source, _CHUNK_BYTES):
                budget.take(len(chunk))
                copied.write(chunk)
    finally:
        os.close(source)
