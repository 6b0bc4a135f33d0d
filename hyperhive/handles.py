"""Opens directories by handle, one name after the other, so that no link is followed and no name is looked up twice."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STAND = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
"""A handle to go on from; it needs no permission to read."""


@contextmanager
def below(root: Path, *path: str) -> Iterator[int]:
    """Open the directory at ``path`` below a root that is trusted (and may itself be reached through a link).

    Raises `FileNotFoundError`, and `NotADirectoryError` where a part of the path is something else, such as a link.
    """
    handle = os.open(root, _STAND)
    try:
        for depth, name in enumerate(path, start=1):
            inner = _open(handle, name, root.joinpath(*path[:depth]))
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


@contextmanager
def step(directory: int, name: str, shown: Path) -> Iterator[int]:
    """Open a directory inside one; ``shown`` is what an error calls it. Raises as `below` does."""
    handle = _open(directory, name, shown)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def readable(handle: int) -> Iterator[int]:
    """Open the very directory of a handle for reading."""
    descriptor = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def status(directory: int, name: str) -> os.stat_result:
    """Return what a name inside a directory is; of a link, the link itself."""
    return os.stat(name, dir_fd=directory, follow_symlinks=False)


def mount_of(handle: int) -> str:
    """Return the id of the mount that a handle is on, proc(5): a bind mount has its own, on the same device."""
    for line in Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "mnt_id":
            return value.strip()
    raise OSError(errno.ENOSYS, "this kernel does not say which mount a directory is on")


def _open(directory: int, name: str, shown: Path) -> int:
    try:
        return os.open(name, _STAND | os.O_NOFOLLOW, dir_fd=directory)
    except NotADirectoryError:
        raise NotADirectoryError(
            errno.ENOTDIR, "it is not a directory, and a symlink is not followed; move it away", str(shown)
        ) from None
