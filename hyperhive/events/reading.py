"""Reading the log as it lies in the file: for people and scripts, also while a daemon writes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import attrs
import msgspec

from hyperhive.events.envelope import rfc3339
from hyperhive.events.log import COLUMNS

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

    def where(self) -> tuple[str, list[Any]]:
        """Return the condition as SQL, without the position, and its parameters."""
        terms, parameters = [], []
        if self.stream is not None:
            terms.append("stream GLOB ?" if self.stream.endswith("*") else "stream = ?")
            parameters.append(self.stream)
        if self.types:
            terms.append(f"type IN ({', '.join('?' * len(self.types))})")
            parameters.extend(self.types)
        return "".join(f" AND {term}" for term in terms), parameters


def select(
    connection: sqlite3.Connection, selection: Selection, *, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yield facts as plain values, oldest first; with a limit the newest so many. Data is not decoded into classes.

    Reads a page at a time, so that whoever reads slowly (a pager) keeps no snapshot open, which the writer's file would
    grow for. Raises `Unreadable`.
    """
    condition, parameters = selection.where()
    inner = f"SELECT {COLUMNS}, hex(hash) FROM events WHERE position > ?{condition}"  # noqa: S608 - parameters are bound
    if limit is not None:
        sql = f"SELECT * FROM ({inner} ORDER BY position DESC LIMIT ?) ORDER BY position"  # noqa: S608 - as above
        yield from _facts(connection, sql, [selection.after, *parameters, limit])
        return
    after = selection.after
    while page := _facts(connection, f"{inner} ORDER BY position LIMIT ?", [after, *parameters, PAGE]):
        yield from page
        after = page[-1]["position"]


def _facts(connection: sqlite3.Connection, sql: str, parameters: list[Any]) -> list[dict[str, Any]]:
    return [
        {
            "position": row[0],
            "stream": row[1],
            "version": row[2],
            "type": row[3],
            "at": rfc3339(row[4]),
            "actor": row[5],
            "correlation": row[6],
            "causation": row[7],
            "data": _decoded(row[0], row[8]),
            "hash": row[9].lower(),
        }
        for row in connection.execute(sql, parameters)
    ]


def _decoded(position: int, data: str | bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise Unreadable(f"the data at position {position} is not JSON: {error}") from error


def position_before(connection: sqlite3.Connection, at: int) -> int:
    """Return the last position that was written before a moment (microseconds since 1970), 0 where there is none.

    By binary search, as far as the log's times only go forwards; where a clock was set back, one of several answers.
    """
    low, high = 0, int(connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0])
    while low < high:
        middle = (low + high + 1) // 2
        (found,) = connection.execute("SELECT at FROM events WHERE position = ?", (middle,)).fetchone()
        low, high = (middle, high) if found < at else (low, middle - 1)
    return low


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
