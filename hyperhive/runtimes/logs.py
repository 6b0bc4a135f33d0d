"""The kept output of a container: read its end, and keep the file from growing without bound."""

from __future__ import annotations

import os
from pathlib import Path

MAX_LINES = 5000
MAX_BYTES = 16 * 1024 * 1024
"""Past this size a log is trimmed when its container starts, and whenever `trim` is called."""
HARD_MAX_BYTES = 4 * MAX_BYTES
"""The relay writes no further than this, however fast an agent is between two trims."""

_TAIL_BYTES = 4 * 1024 * 1024
_BLOCK_BYTES = 65_536


def earlier(path: Path) -> Path:
    """Return the file that holds what was last trimmed from a log."""
    return path.with_name(f"{path.name}.1")


def tail(path: Path, lines: int) -> tuple[str, ...]:
    """Return the last lines (at most `MAX_LINES`, and 4 MiB), oldest first; a log that is not there has none."""
    lines = min(lines, MAX_LINES)
    if lines <= 0:
        return ()
    raw = _end_of(path, lines, _TAIL_BYTES)
    if raw.count(b"\n") < lines:
        raw = _end_of(earlier(path), lines, _TAIL_BYTES - len(raw)) + raw
    return tuple(raw.removesuffix(b"\n").decode(errors="replace").split("\n")[-lines:]) if raw else ()


def trim(path: Path, max_bytes: int) -> bool:
    """Move the newest `max_bytes` of a log that is larger into ``<log>.1`` and empty it; says whether it did.

    The file keeps its inode, because a container's relay holds it open (in append mode). Weakness: what is written
    between the copy's end and the emptying is lost.
    """
    try:
        source = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        size = os.fstat(source).st_size
        if size <= max_bytes:
            return False
        kept = earlier(path)
        partial = kept.with_name(f"{kept.name}.part")
        with open(partial, "wb", opener=_private) as target:
            os.lseek(source, size - max_bytes, os.SEEK_SET)
            left = max_bytes + _BLOCK_BYTES
            while left > 0 and (block := os.read(source, min(_BLOCK_BYTES, left))):
                target.write(block)
                left -= len(block)
        partial.replace(kept)
        os.ftruncate(source, 0)
    finally:
        os.close(source)
    return True


def open_for_append(path: Path) -> int:
    """Open a log for a container's relay, made if need be, for the daemon's user alone; returns the descriptor."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def since(path: Path, offset: int, max_bytes: int = _BLOCK_BYTES) -> str:
    """Return the end of what was written after an offset."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(min(offset, size), size - max_bytes))
            return log.read(max_bytes).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _end_of(path: Path, lines: int, max_bytes: int) -> bytes:
    """Return the end of a file that holds so many lines, or all of it, or as much as may be."""
    try:
        with path.open("rb") as log:
            start = end = log.seek(0, os.SEEK_END)
            raw = b""
            while start > 0 and len(raw) < max_bytes and raw.count(b"\n") <= lines:
                start = max(0, start - _BLOCK_BYTES)
                log.seek(start)
                raw = log.read(min(_BLOCK_BYTES, end - start)) + raw
                end = start
            return raw
    except FileNotFoundError:
        return b""


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
