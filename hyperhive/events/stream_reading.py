"""Reading an agent's turn stream while it is being written: pages from its end backwards, and what came since."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import msgspec

from hyperhive.events.log import read_only
from hyperhive.events.stream_store import StreamEvent

TOLD = 5_000
"""Events that are looked through for a text."""
_COLUMNS = "run, number, at, type, data, id"


@attrs.frozen
class StreamReader:
    """One agent's file, opened anew for each question. Not for the event loop's thread: it waits for the disk.

    An agent that has had no turn yet has no file, and nothing in it. Raises `sqlite3.Error` for a file that is none.
    """

    path: Path

    def after(self, id_: int, limit: int) -> list[StreamEvent]:
        """Return the oldest events after an id, oldest first."""
        return self._ask(
            lambda connection: list(
                _events(connection, "WHERE id > ? ORDER BY id LIMIT ?", (id_, limit)),
            ),
        )

    def before(self, id_: int | None, limit: int) -> list[StreamEvent]:
        """Return the newest events before an id (None: of all), oldest first."""
        clause = "WHERE id < ? ORDER BY id DESC LIMIT ?"
        last = id_ if id_ is not None else 2**63 - 1
        return self._ask(lambda connection: list(_events(connection, clause, (last, limit)))[::-1])

    def one(self, id_: int) -> StreamEvent | None:
        """Return one event, None where there is none (any more)."""
        found = self._ask(lambda connection: list(_events(connection, "WHERE id = ?", (id_,))))
        return found[0] if found else None

    def telling(self, text: str, type_: str, between: tuple[int, int], *, limit: int = TOLD) -> list[StreamEvent]:
        """Return the events of a type that have a text in them and came between two moments, oldest first.

        The moments are the host's, microseconds since 1970. At most so many of the stream's events are looked at.
        """

        def ask(connection: sqlite3.Connection) -> list[StreamEvent]:
            first, last = (_id_at(connection, at) for at in between)
            clause = "WHERE id > ? AND id <= ? AND type = ? AND instr(data, ?) ORDER BY id"
            return list(_events(connection, clause, (first, min(last, first + limit), type_, text)))

        return self._ask(ask)

    def newest_id(self) -> int:
        """Return the id of the newest event, 0 where there is none."""

        def ask(connection: sqlite3.Connection) -> list[StreamEvent]:
            return list(_events(connection, "ORDER BY id DESC LIMIT 1", ()))

        found = self._ask(ask)
        return found[0].id if found else 0

    def _ask(self, question: Callable[[sqlite3.Connection], list[StreamEvent]]) -> list[StreamEvent]:
        try:
            if not stat.S_ISREG(self.path.lstat().st_mode):
                return []
        except FileNotFoundError:
            return []
        with contextlib.closing(read_only(self.path)) as connection:
            try:
                return question(connection)
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):  # its first event is just being written
                    return []
                raise


def _id_at(connection: sqlite3.Connection, at: int) -> int:
    """Return the last id that came before a moment, by halves: what stands in a row's end is slow to read."""
    low, high = connection.execute("SELECT coalesce(min(id), 1) - 1, coalesce(max(id), 0) FROM stream").fetchone()
    while low < high:
        middle = (low + high + 1) // 2
        sql = "SELECT id, received_at FROM stream WHERE id <= ? ORDER BY id DESC LIMIT 1"
        id_, received = connection.execute(sql, (middle,)).fetchone()
        low, high = (middle, high) if received < at else (low, id_ - 1)
    return int(low)


def _events(connection: sqlite3.Connection, clause: str, values: tuple[int | str, ...]) -> Iterator[StreamEvent]:
    sql = f"SELECT {_COLUMNS} FROM stream {clause}"  # noqa: S608 - ours
    for run, number, at, type_, data, id_ in connection.execute(sql, values):
        yield StreamEvent(run=run, number=number, at=at, type=type_, data=msgspec.json.decode(data), id=id_)
