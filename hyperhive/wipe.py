"""Removes a directory tree that somebody untrusted has written, and may be writing still."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import attrs

from hyperhive import handles

_CHANGED = (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
"""What is answered of an entry that somebody has changed since it was seen; the next look sees what it is now."""


T = TypeVar("T")


async def apart(work: Callable[[Callable[[], bool]], T]) -> T:
    """Do such work in a thread; who is cancelled has stopped it before this returns, so that nobody meets it later."""
    stop = threading.Event()
    working = asyncio.ensure_future(asyncio.to_thread(work, stop.is_set))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(working, return_exceptions=True)
        raise


class WipeStopped(Exception):  # noqa: N818
    """It was told to stop; the next one goes on."""


def wipe(root: Path, *path: str, stopped: Callable[[], bool] = lambda: False) -> None:
    """Remove the tree at ``path`` below ``root``, however deep and large it is and whatever modes its directories have.

    Nothing there is a success, and one that was interrupted is simply begun again. It goes from handle to handle and
    follows no link, whatever is swapped meanwhile: a link inside is removed itself, and nothing that lies outside of
    ``root`` is reached. What lies deeper is moved up to the top before it is emptied, so that neither the depth nor the
    length of a path has a limit.

    Raises `WipeStopped`, and `OSError`: a top that is no directory, or a mount point, whose content is not the tree's.
    """
    *parents, name = path
    shown = root.joinpath(*path)
    try:
        with handles.below(root, *parents) as parent:
            mount = handles.mount_of(parent)
            with _opened(name, parent, mount, shown) as top:
                tree = _Tree(top=top, mount=mount, shown=shown, stopped=stopped)
                while tree.look(top, tree.empty):
                    pass
            os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return


@attrs.frozen(kw_only=True)
class _Tree:
    """A tree that is being removed."""

    top: int
    mount: str
    shown: Path
    stopped: Callable[[], bool]
    _names: Iterator[str] = attrs.field(factory=lambda: (f".wiped-{number}" for number in itertools.count()))

    def look(self, directory: int, go_into: Callable[[str], None]) -> bool:
        """Look through a directory once, removing what is no directory; return whether anything was there."""
        seen = False
        with os.scandir(directory) as entries:
            for entry in entries:
                seen = True
                if self.stopped():
                    raise WipeStopped
                try:
                    if entry.is_dir(follow_symlinks=False):
                        go_into(entry.name)
                    else:
                        os.unlink(entry.name, dir_fd=directory)
                except OSError as error:
                    if error.errno not in _CHANGED:
                        raise
        return seen

    def empty(self, name: str) -> None:
        """Remove a directory of the top, moving up to it the directories inside."""
        with _opened(name, self.top, self.mount, self.shown / name) as directory:
            while self.look(directory, lambda inner: self._move(inner, directory, self.shown / name)):
                pass
        os.rmdir(name, dir_fd=self.top)

    def _move(self, name: str, directory: int, shown: Path) -> None:
        with handles.step(directory, name, shown / name) as handle:
            _permit(handle, self.mount, shown / name)  # what may not be written cannot be moved, rename(2)
        for free in self._names:
            try:
                os.rename(name, free, src_dir_fd=directory, dst_dir_fd=self.top)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
            else:
                return


@contextmanager
def _opened(name: str, directory: int, mount: str, shown: Path) -> Iterator[int]:
    with handles.step(directory, name, shown) as handle:
        _permit(handle, mount, shown)
        with handles.readable(handle) as descriptor:
            yield descriptor


def _permit(handle: int, mount: str, shown: Path) -> None:
    """Let the owner read, write and enter a directory, unless something is mounted there."""
    if handles.mount_of(handle) != mount:
        raise OSError(errno.EXDEV, "something is mounted there; unmount it first", str(shown))
    mode = stat.S_IMODE(os.fstat(handle).st_mode)
    if mode & 0o700 != 0o700:
        Path(f"/proc/self/fd/{handle}").chmod(mode | 0o700)
