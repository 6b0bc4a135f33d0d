"""Archived segments in a backup, which is one file: into its table, and out of it beside the restored database."""

from __future__ import annotations

import contextlib
import sqlite3
from hashlib import sha256
from pathlib import Path

from hyperhive.events.archiving import place
from hyperhive.events.log import read_only
from hyperhive.events.segments import DIRECTORY, Segments, kept


def segments_in(source: Path, copy: Path) -> None:
    """Put the segments of a database, if it has any, into its copy. Raises `SegmentLost` for one that is not whole."""
    with (
        contextlib.closing(read_only(source)) as found,
        contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as new,
    ):
        tables = {name for (name,) in found.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "segments" not in tables:  # of an older release
            return
        segments = Segments(found)
        for segment in kept(new):
            segments.open(segment)  # which proves that it is the one
            content = segments.content(segment)
            new.execute("UPDATE segments SET content = ? WHERE first = ?", (content, segment.first))


def segments_out(new: Path, data: Path) -> None:
    """Put the segments that a database carries into files of a data directory, and let it carry none."""
    with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as connection:
        carried = False
        for segment in kept(connection):
            file = data / DIRECTORY / Path(segment.file).name
            content = Segments(connection).content(segment)
            if not file.exists() or sha256(file.read_bytes()).digest() != segment.digest:
                place(file, content)
            carried = True
        if carried:
            connection.execute("UPDATE segments SET content = NULL")
            connection.execute("VACUUM")
