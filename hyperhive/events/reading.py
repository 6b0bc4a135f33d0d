"""Reading the log as it lies in the file: for people and scripts, also while a daemon writes."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import msgspec

from hyperhive.events.envelope import rfc3339
from hyperhive.events.rows import END, PLAIN, Row, Rows
from hyperhive.events.segments import archived

FOLLOW_SECONDS = 0.1
"""Between two looks at whether the file has changed (a pragma that reads one page)."""
PAGE = 500
"""Facts read at once; one is at most some 64 KiB."""


class Unreadable(Exception):  # noqa: N818
    """A fact that is not even JSON."""


@attrs.frozen(kw_only=True)
class Selection:
    """Which facts to read; a stream may be a category with an asterisk, such as ``agent-*``."""

    stream: str | None = None
    types: tuple[str, ...] = ()
    after: int = 0
    until: int = END

    def where(self) -> tuple[str, list[Any]]:
        """Return the condition on the live file as SQL, and its parameters."""
        terms = ["position > ? AND position <= ?"]
        parameters: list[Any] = [self.after, self.until]
        if self.stream is not None:
            terms.append(f"stream IN (SELECT id FROM streams WHERE name {self._like} ?)")  # noqa: S608 - ours
            parameters.append(self.stream)
        if self.types:
            marks = ", ".join("?" * len(self.types))
            terms.append(f"type IN (SELECT id FROM names WHERE name IN ({marks}))")  # noqa: S608 - as above
            parameters.extend(self.types)
        return " AND ".join(terms), parameters

    @property
    def _like(self) -> str:
        return "GLOB" if self.stream is not None and self.stream.endswith("*") else "="

    def takes(self, connection: sqlite3.Connection) -> Callable[[Row], bool]:
        """Return the same condition for archived facts."""
        sql = f"SELECT name FROM streams WHERE name {self._like} ?"  # noqa: S608 - ours
        streams = None if self.stream is None else {name for (name,) in connection.execute(sql, (self.stream,))}
        types, after, until = frozenset(self.types), self.after, self.until
        return lambda row: (
            after < row[0] <= until and (streams is None or row[1] in streams) and (not types or row[3] in types)
        )


def select(
    connection: sqlite3.Connection, selection: Selection, *, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yield facts as plain values, oldest first; with a limit the newest so many. Data is not decoded into classes.

    Reads a page at a time, so that whoever reads slowly (a pager) keeps no snapshot open, which the writer's file would
    grow for. Raises `Unreadable` and, where archived facts cannot be read, `SegmentLost`.
    """
    rows = Rows(connection)
    if limit is not None:
        yield from map(_fact, _newest(rows, selection, limit))
        return
    takes = selection.takes(connection)
    while True:
        with snapshot(connection):
            old = min(archived(connection), selection.until)
            page = _page(rows, selection, "ORDER BY position", PAGE) if selection.after >= old else None
        if page is None:
            yield from map(_fact, filter(takes, rows.between(selection.after, old, hashes=True)))
            selection = attrs.evolve(selection, after=old)
        elif page:
            yield from map(_fact, page)
            selection = attrs.evolve(selection, after=page[-1][0])
        else:
            return


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Let several statements see one moment of the file."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def _page(rows: Rows, selection: Selection, order: str, limit: int) -> list[Row]:
    condition, parameters = selection.where()
    sql = f"SELECT {PLAIN}, hash FROM facts WHERE {condition} {order} LIMIT ?"  # noqa: S608 - parameters are bound
    return list(rows.named(rows.connection.execute(sql, [*parameters, limit])))


def _newest(rows: Rows, selection: Selection, limit: int) -> list[Row]:
    with snapshot(rows.connection):
        old = archived(rows.connection)
        live = attrs.evolve(selection, after=max(selection.after, old))
        if selection.stream is not None and not selection.stream.endswith("*"):
            found = list(itertools.islice(_linked(rows, live), limit))
        else:
            found = _page(rows, live, "ORDER BY position DESC", limit)
    takes = selection.takes(rows.connection)
    backwards = filter(takes, _backwards(rows, selection.after, min(old, selection.until)))
    while len(found) < limit and not _begins(selection, found) and (row := next(backwards, None)) is not None:
        found.append(row)
    return found[::-1]


def _begins(selection: Selection, found: list[Row]) -> bool:
    """Whether the oldest found is the first of the one stream that was asked for."""
    return bool(found) and found[-1][2] == 1 and selection.stream == found[-1][1]


def _linked(rows: Rows, selection: Selection) -> Iterator[Row]:
    """Yield the live facts of one stream, newest first, each found from the one after it."""
    connection, types = rows.connection, frozenset(selection.types)
    found = connection.execute("SELECT position FROM streams WHERE name = ?", (selection.stream,)).fetchone()
    position = found[0] if found is not None else 0
    sql = f"SELECT previous, {PLAIN}, hash FROM facts WHERE position = ?"  # noqa: S608 - ours
    while position > selection.after:
        back = connection.execute(sql, (position,)).fetchone()
        if back is None:
            raise Unreadable(f"{selection.stream} should have a fact at position {position}, and there is none")
        if position <= selection.until:
            yield from (row for row in rows.named([back[1:]]) if not types or row[3] in types)
        if back[0] is None:
            return
        if back[0] < 1:
            raise Unreadable(f"position {position} does not say which fact of {selection.stream} came before it")
        position -= back[0]


def _backwards(rows: Rows, after: int, until: int) -> Iterator[Row]:
    """Yield archived facts, newest first."""
    while until > after:
        segment = rows.segments.holding(until)
        if segment is None:
            return
        for number in reversed(range(len(rows.segments.open(segment)))):
            yield from reversed(rows.frame(segment, number, hashes=True))
        until = segment.first - 1


def _fact(row: Row) -> dict[str, Any]:
    try:
        return {
            "position": row[0],
            "stream": row[1],
            "version": row[2],
            "type": row[3],
            "at": rfc3339(row[4]),
            "actor": row[5],
            "correlation": row[6],
            "causation": row[7],
            "data": _decoded(row[0], row[8]),
            "hash": row[9].hex(),
        }
    except (OverflowError, TypeError, AttributeError) as error:
        raise Unreadable(f"position {row[0]} is not a fact: {error}") from None


def _decoded(position: int, data: str | bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise Unreadable(f"the data at position {position} is not JSON: {error}") from error


def position_before(connection: sqlite3.Connection, at: int) -> int:
    """Return the last position that was written before a moment (microseconds since 1970), 0 where there is none.

    By binary search, as far as the log's times only go forwards; where a clock was set back, one of several answers.
    """
    rows = Rows(connection)
    with snapshot(connection):
        (low, high) = (archived(connection), _head(connection))
        first = rows.at(low + 1)
        if first is None or first[4] >= at:  # it lies in the archive
            sql = "SELECT first - 1, last FROM segments WHERE until >= ? ORDER BY first LIMIT 1"
            low, high = connection.execute(sql, (at,)).fetchone() or (low, low)
    while low < high:
        middle = (low + high + 1) // 2
        found = rows.at(middle)
        low, high = (middle, high) if found is not None and found[4] < at else (low, middle - 1)
    return low


def _head(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(position), 0) FROM facts").fetchone()[0])


def follow(connection: sqlite3.Connection, selection: Selection) -> Iterator[dict[str, Any]]:
    """Yield facts after the selection's position as they are committed, without end."""
    version = None
    while True:
        now = connection.execute("PRAGMA data_version").fetchone()[0]
        if now == version:
            time.sleep(FOLLOW_SECONDS)
            continue
        version = now
        for fact in select(connection, selection):
            selection = attrs.evolve(selection, after=fact["position"])
            yield fact
