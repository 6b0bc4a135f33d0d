"""The kept output of a container: where it lies, and its end."""

from __future__ import annotations

import os
from pathlib import Path

MAX_LINES = 5000
UNITS = ("hive-ag3nt.service", "hive-m1nd.service")
"""What runs in a container that has systemd: the harness of an agent, that of the manager. A container without it has
one output, whatever the unit."""
MAX_BYTES = 16 * 1024 * 1024
"""A log of this size becomes `earlier`, and what was earlier is gone: twice this is all that output takes."""

JOURNAL_BYTES = 4 * 1024 * 1024
"""The most of a journal that is read at once."""

_TAIL_BYTES = 4 * 1024 * 1024
_BLOCK_BYTES = 65_536


def earlier(path: Path) -> Path:
    """Return the file that a full log becomes."""
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


def prepare(path: Path) -> None:
    """Make a log, for the daemon's user alone; one that is a link, and so leads elsewhere, is an error."""
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


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
