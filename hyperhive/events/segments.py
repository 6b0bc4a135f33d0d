"""Which segments a log has, and where: the table in the database, the files in ``segments/`` beside it."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import attrs

from hyperhive.events.damage import SegmentLost
from hyperhive.events.segment import BadSegment, Segment

DIRECTORY = "segments"
_OPEN = 2
"""Segments kept in memory at once by a reader."""
_COLUMNS = "first, last, previous, head, until, file, bytes, digest"


@attrs.frozen
class Kept:
    """One segment, as the database remembers it."""

    first: int
    last: int
    previous: bytes
    """The hash before its first fact."""
    head: bytes
    """The hash of its last fact."""
    until: int
    """When its last fact happened, microseconds since 1970."""
    file: str
    size: int
    digest: bytes
    """SHA-256 of the file."""


def directory_of(connection: sqlite3.Connection) -> Path:
    """Return where the segments of an open database are."""
    path = connection.execute("SELECT file FROM pragma_database_list WHERE name = 'main'").fetchone()[0]
    return Path(_text(path)).parent / DIRECTORY


def archived(connection: sqlite3.Connection) -> int:
    """Return up to which position the log is archived."""
    return int(connection.execute("SELECT coalesce(max(last), 0) FROM segments").fetchone()[0])


def kept(connection: sqlite3.Connection) -> Iterator[Kept]:
    """Yield the segments, oldest first."""
    for row in connection.execute(f"SELECT {_COLUMNS} FROM segments ORDER BY first").fetchall():  # noqa: S608 - ours
        yield _kept(row)


def _kept(row: tuple[object, ...]) -> Kept:
    return Kept(*(_text(value) if isinstance(value, bytearray) else value for value in row))  # type: ignore[arg-type]


def _text(value: str | bytearray) -> str:
    """Read a text, also of a connection that gives its bytes."""
    return value if isinstance(value, str) else value.decode()


def holds(found: Segment, segment: Kept) -> bool:
    """Whether a segment says that it holds what the database remembers."""
    said = (found.header.first, found.header.last, found.header.previous, found.header.frames[-1].head)
    return said == (segment.first, segment.last, segment.previous.hex(), segment.head.hex())


class Segments:
    """The segments of one open database; keeps what was read last."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._open: OrderedDict[bytes, Segment] = OrderedDict()

    def holding(self, position: int) -> Kept | None:
        """Return the segment that holds a position; None for one that is not archived."""
        sql = f"SELECT {_COLUMNS} FROM segments WHERE first <= ? ORDER BY first DESC LIMIT 1"  # noqa: S608 - ours
        row = self._connection.execute(sql, (position,)).fetchone()
        return _kept(row) if row is not None and row[1] >= position else None

    def open(self, segment: Kept) -> Segment:
        """Read a segment. One that is not wholly what was written may still have whole frames: it is not `proven`.

        Raises `SegmentLost` where it is not there, or of no use.
        """
        found = self._open.get(segment.digest)
        if found is not None:
            self._open.move_to_end(segment.digest)
            return found
        content = self.content(segment)
        proven = sha256(content).digest() == segment.digest
        try:
            found = Segment(content, proven=proven)
        except BadSegment as error:
            raise SegmentLost(segment.first, segment.last, f"{self.where(segment)}: {error}") from None
        if not holds(found, segment):
            raise SegmentLost(segment.first, segment.last, f"{self.where(segment)} holds something else")
        self._open[segment.digest] = found
        while len(self._open) > _OPEN:
            self._open.popitem(last=False)
        return found

    def content(self, segment: Kept) -> bytes:
        """Return a segment's bytes, whatever they are. Raises `SegmentLost` where there are none."""
        sql = "SELECT content FROM segments WHERE first = ?"
        (content,) = self._connection.execute(sql, (segment.first,)).fetchone()
        if content is not None:
            return bytes(content)
        where = self.where(segment)
        try:
            with where.open("rb") as opened:
                return opened.read(segment.size + 1)
        except FileNotFoundError:
            reason = f"{where} is not there; put it back from a copy of the data directory, or restore a backup"
            raise SegmentLost(segment.first, segment.last, reason) from None
        except OSError as error:
            raise SegmentLost(segment.first, segment.last, f"{where}: {error.strerror}") from None

    def where(self, segment: Kept) -> Path:
        """Return the file of a segment."""
        return directory_of(self._connection) / Path(segment.file).name
