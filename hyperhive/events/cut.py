"""Files that were cut off: SQLite opens none that is shorter than it says, though most of its pages may be there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

_HEADER_BYTES = 100
"""With the size of a page at 16 and how many there are at 28, both big-endian (sqlite.org/fileformat2.html)."""
_LARGEST_PAGE = 65_536


def cut_off(path: Path) -> str | None:
    """Say how much of a database's file is there, where that is less than it should be; None for a whole one."""
    try:
        if path.with_name(f"{path.name}-wal").stat().st_size:
            return None  # it says how many pages there are, and a checkpoint may be adding them to the file just now
    except OSError:
        pass
    try:
        with path.open("rb") as opened:
            header = opened.read(_HEADER_BYTES)
        there = path.stat().st_size
    except OSError:
        return None
    if len(header) < _HEADER_BYTES or not header.startswith(b"SQLite format 3\0"):
        return None
    page = int.from_bytes(header[16:18], "big")
    whole = (_LARGEST_PAGE if page == 1 else page) * int.from_bytes(header[28:32], "big")
    if there >= whole:
        return None
    return f"the file was cut off: {there} of its {whole} bytes are there"


def read_what_is_left(connection: sqlite3.Connection, path: Path) -> None:
    """Let a reader of a file that was cut off at the pages that are there.

    What SQLite does then is read until it needs a page that is gone (``writable_schema``, which writes nothing).
    """
    if cut_off(path) is not None:
        connection.execute("PRAGMA writable_schema=ON")


def lacking(path: Path, error: Exception) -> str:
    """Say why SQLite cannot read on."""
    cut = cut_off(path)
    return f"SQLite cannot read it: {error}" + (f"; {cut}" if cut is not None else "")
