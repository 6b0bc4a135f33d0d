"""Measures a directory tree that somebody untrusted has written, within bounds."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import attrs

from hyperhive import handles

MAX_ENTRIES = 300_000
MAX_DEPTH = 100
"""Each level holds two descriptors."""
_BLOCK_BYTES = 512  # st_blocks, stat(2)


@attrs.frozen(kw_only=True)
class Measured:
    """What a tree takes on disk, and when something in it last changed; ``whole`` unless it is past a bound."""

    size_bytes: int
    modified_at: float
    whole: bool


def measure(root: Path, *path: str, stopped: Callable[[], bool] = lambda: False) -> Measured | None:
    """Measure the tree at ``path`` below ``root``; None where there is none. Raises `OSError`.

    Counts what removing it frees: blocks, a file with several links once. Goes from handle to handle and follows no
    link. It leaves out what is mounted inside.
    """
    try:
        with handles.below(root, *path) as handle, handles.readable(handle) as top:
            count = _Count(os.fstat(top), stopped)
            count.take(top, 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Measured(size_bytes=count.blocks * _BLOCK_BYTES, modified_at=count.newest, whole=count.whole)


class _Count:
    def __init__(self, top: os.stat_result, stopped: Callable[[], bool]) -> None:
        self.blocks = top.st_blocks
        self.newest = top.st_mtime
        self.whole = True
        self._device = top.st_dev
        self._left = MAX_ENTRIES
        self._linked: set[int] = set()
        self._stopped = stopped

    def take(self, directory: int, depth: int) -> None:
        """Count what is in a directory."""
        with os.scandir(directory) as entries:
            for entry in entries:
                if not self._left or self._stopped():
                    self.whole = False
                    return
                self._left -= 1
                try:
                    self._entry(entry, directory, depth)
                except OSError:
                    self.whole = False  # gone meanwhile, or not ours to look into

    def _entry(self, entry: os.DirEntry[str], directory: int, depth: int) -> None:
        status = entry.stat(follow_symlinks=False)
        if status.st_dev != self._device or status.st_ino in self._linked:
            return
        self.blocks += status.st_blocks
        self.newest = max(self.newest, status.st_mtime)
        if stat.S_ISDIR(status.st_mode):
            if depth == MAX_DEPTH:
                self.whole = False
                return
            with handles.step(directory, entry.name, Path(entry.name)) as handle, handles.readable(handle) as inner:
                self.take(inner, depth + 1)
        elif status.st_nlink > 1:
            self._linked.add(status.st_ino)
