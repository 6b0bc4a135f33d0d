"""The one reader of the log: archived segments and the live file as if they were one, position by position.

Facts move from the file into segments while others read. They are dense, so a reader that finds a gap looks whether
that has just been archived; nothing is held open for it.
"""

from __future__ import annotations

import operator
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import msgspec

from hyperhive.events.damage import LogDamaged, SegmentLost
from hyperhive.events.hashing import GENESIS
from hyperhive.events.interning import Names
from hyperhive.events.schema import AT_ZERO
from hyperhive.events.segment import BadSegment, decode_envelope
from hyperhive.events.segments import Kept, Segments

END = 2**62

_PAGE = 128
"""Facts that are taken from SQLite at once; one is at most some 64 KiB."""

Row = tuple[Any, ...]
"""Position, stream, version, type, at, actor, correlation, causation, data (JSON), and the hash where it was asked for.
"""

# The data as the bytes that it is in the file: no string is made of what is decoded next.
PLAIN = (
    f"position, stream, version, type, at + {AT_ZERO}, actor, position - correlation, position - causation, "
    "CAST(data AS BLOB)"
)
"""The columns of a fact in the live file, with ids for names: for `Rows.named`."""


def paged(found: Iterator[Row], take: Callable[[Iterable[Row], list[Any]], None]) -> Iterator[list[Any]]:
    """Yield pages of what ``take`` makes of rows; those before one that cannot be read come before its error."""
    trouble: Exception | None = None
    while trouble is None:
        page: list[Any] = []
        try:
            take(islice(found, _PAGE), page)
        except (LogDamaged, sqlite3.Error) as error:
            trouble = error
        if page:
            yield page
        elif trouble is None:
            return
    raise trouble


def nameless(position: int, id_: object) -> LogDamaged:
    """Say that a fact's names are lost."""
    return LogDamaged(f"position {position}: nothing is named by the id {id_}")


class Rows:
    """Reads a log behind an open connection."""

    _position: Callable[[Any], int] = operator.itemgetter(0)
    """Of what a page holds."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.segments = Segments(connection)
        self._streams = Names(connection, "streams")
        self._names = Names(connection, "names")

    def between(self, after: int = 0, until: int = END, *, hashes: bool = False) -> Iterator[Row]:
        """Yield the facts after a position and up to another, in order.

        Raises `SegmentLost` where an archived one cannot be read, `LogDamaged` for one whose names are lost.
        """
        return chain.from_iterable(self.pages(after, until, hashes=hashes))

    def pages(self, after: int = 0, until: int = END, *, hashes: bool = False) -> Iterator[list[Any]]:
        """Yield the same facts, many at a time: for who reads all of a log. Raises as `between` does."""
        while after < until:
            began, position = after, self._position
            segment = self.segments.holding(after + 1)
            pages = (
                self._live(after, until, hashes=hashes)
                if segment is None
                else self._archived(segment, after, until, hashes=hashes)
            )
            for page in pages:
                if position(page[0]) != after + 1 and segment is None and self.segments.holding(after + 1) is not None:
                    break
                yield page
                after = position(page[-1])
            else:
                if segment is None:
                    return
            if after == began and segment is not None:
                raise LogDamaged(f"{self.segments.where(segment)} should hold position {after + 1}, and does not")

    def at(self, position: int, *, hashes: bool = False) -> Row | None:
        """Return one fact, None where there is none at this position."""
        return next(self.between(position - 1, position, hashes=hashes), None)

    def hash_at(self, position: int) -> bytes | None:
        """Return the chain's hash at a position."""
        if position == 0:
            return GENESIS
        row = self.at(position, hashes=True)
        return None if row is None else row[9]

    def named(self, found: Iterable[Row]) -> Iterator[Row]:
        """Yield facts of the live file with the names for their ids. Raises `LogDamaged`."""
        return chain.from_iterable(paged(iter(found), self._name))

    def _name(self, found: Iterable[Row], page: list[Any]) -> None:
        streams, names = self._streams, self._names
        position = 0
        try:
            for position, stream, version, type_, at, actor, *rest in found:
                page.append((position, streams[stream], version, names[type_], at, names[actor], *rest))
        except KeyError as error:
            raise nameless(position, error) from None

    def _live(self, after: int, until: int, *, hashes: bool) -> Iterator[list[Any]]:
        return paged(self.selected(after, until, hashes=hashes), self._name)

    def selected(self, after: int, until: int, *, hashes: bool = False) -> Iterator[Row]:
        """Return facts of the live file as they stand there, with ids for names."""
        sql = (
            f"SELECT {PLAIN}{', hash' if hashes else ''} FROM facts"  # noqa: S608 - ours
            " WHERE position > ? AND position <= ? ORDER BY position"
        )
        return self.connection.execute(sql, (after, until))

    def _archived(self, segment: Kept, after: int, until: int, *, hashes: bool) -> Iterator[list[Any]]:
        opened = self.segments.open(segment)
        for number in range(opened.frame_of(after + 1), len(opened)):
            first, _ = opened.bounds(number)
            if first > until:
                return
            found = self.frame(segment, number, hashes=hashes)
            yield from filter(None, [found[max(0, after + 1 - first) : max(0, until + 1 - first)]])

    def frame(self, segment: Kept, number: int, *, hashes: bool = False) -> list[Row]:
        """Return the facts of one frame of a segment. Raises `SegmentLost`."""
        opened = self.segments.open(segment)
        try:
            if not hashes and opened.proven:
                return [(*decode_envelope(envelope), data) for envelope, data in opened.written(number)]
            found = [(*decode_envelope(envelope), data, hash_) for envelope, data, hash_ in opened.hashed(number)]
            return found if hashes else [row[:9] for row in found]
        except (BadSegment, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise SegmentLost(*opened.bounds(number), f"{self.segments.where(segment)}: {error}") from None
