"""Removes a directory tree that somebody untrusted has written."""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def wipe(top: Path) -> None:
    """Remove a tree, however deep it is and whatever modes its directories have; nothing there is a success.

    Follows no link: a link inside is removed itself, and a top that is one is an `OSError`. What lies deeper is moved
    up to the top before it is emptied, so that neither the depth nor the length of a path has a limit.
    """
    names = (f".wiped-{number}" for number in itertools.count())
    try:
        with _opened(top) as root:
            while directories := _unlink_files(root):
                for name in directories:
                    _empty(name, root, names)
                    os.rmdir(name, dir_fd=root)
    except FileNotFoundError:
        if os.path.lexists(top):
            raise
        return
    top.rmdir()


def _unlink_files(directory: int) -> list[str]:
    """Remove whatever is no directory; return the names of the directories."""
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            os.unlink(name, dir_fd=directory)
    return [name for name, is_directory in found if is_directory]


def _empty(name: str, root: int, names: Iterator[str]) -> None:
    with _opened(name, root) as directory:
        for inner in _unlink_files(directory):
            _permit(inner, directory)  # a directory that may not be written cannot be moved, rename(2)
            _move(inner, directory, root, names)


def _move(name: str, directory: int, root: int, names: Iterator[str]) -> None:
    for free in names:
        try:
            os.rename(name, free, src_dir_fd=directory, dst_dir_fd=root)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            return


@contextmanager
def _opened(path: str | Path, directory: int | None = None) -> Iterator[int]:
    _permit(path, directory)
    descriptor = os.open(path, _DIRECTORY, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _permit(path: str | Path, directory: int | None) -> None:
    """Let the owner read, write and enter a directory; by its handle, since chmod(2) would follow a link."""
    handle = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        if mode & 0o700 != 0o700:
            Path(f"/proc/self/fd/{handle}").chmod(mode | 0o700)
    finally:
        os.close(handle)
