"""Names by number: streams, types and actors stand in the log once, and in each fact as an id."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

_STREAMS_KEPT = 10_000


class Place(NamedTuple):
    """A stream, and its newest fact."""

    id: int
    version: int
    position: int


_new_place = tuple.__new__


class Names(dict[int, str]):
    """The text of each id, looked up once; raises `KeyError` for one that nothing stands behind."""

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        super().__init__()
        self._connection = connection
        self._sql = f"SELECT name FROM {table} WHERE id = ?"  # noqa: S608 - ours
        self._by_index = f"SELECT name FROM {table} INDEXED BY sqlite_autoindex_{table}_1 WHERE id = ?"  # noqa: S608

    def look_up(self, id_: int) -> tuple[object] | None:
        """Return what stands behind an id.

        Where its page is lost, it is looked for in the index of the names: that grows by new names alone, and so lies
        nearer to the beginning of a file that was cut off.
        """
        found: tuple[object] | None
        try:
            found = self._connection.execute(self._sql, (id_,)).fetchone()
        except sqlite3.DatabaseError:
            found = self._connection.execute(self._by_index, (id_,)).fetchone()
        return found

    def __missing__(self, id_: int) -> str:
        row = self.look_up(id_)
        if row is None or not isinstance(row[0], str):
            raise KeyError(id_)
        self[id_] = row[0]
        return row[0]


class Interning:
    """The ids for who appends; new names are written with the facts that need them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._streams: dict[str, Place] = {}
        self._names: dict[str, int] = {}
        self._new_streams: list[tuple[int, str]] = []
        self._new_names: list[tuple[int, str]] = []
        self._next_stream = self._next_name = 0
        self._touched: set[str] = set()
        self.forget()

    def forget(self) -> None:
        """Drop all that is not in the file."""
        for kept in (self._streams, self._names, self._new_streams, self._new_names, self._touched):
            kept.clear()
        self._next_stream, self._next_name = (
            self._connection.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}").fetchone()[0]  # noqa: S608 - ours
            for table in ("streams", "names")
        )

    def stream(self, name: str) -> Place:
        """Return where a stream stands, with what was `advance`d and not written yet."""
        place = self._streams.get(name)
        if place is None:
            sql = "SELECT id, version, position FROM streams WHERE name = ?"
            row = self._connection.execute(sql, (name,)).fetchone()
            place = Place(0, 0, 0) if row is None else Place(*row)
            if len(self._streams) >= _STREAMS_KEPT:
                # Only streams with something uncommitted must stay; the others can be looked up again.
                self._streams = {each: at for each, at in self._streams.items() if each in self._touched}
            self._streams[name] = place
        return place

    def advance(self, name: str, position: int) -> tuple[int, int, int | None]:
        """Give a stream its next fact; return the stream's id, the version, and how far back the fact before lies."""
        id_, version, previous = self._streams.get(name) or self.stream(name)
        if not id_:
            id_, self._next_stream = self._next_stream, self._next_stream + 1
            self._new_streams.append((id_, name))
        # What Place(…) does, in half its time: this is done for each fact.
        self._streams[name] = _new_place(Place, (id_, version + 1, position))
        self._touched.add(name)
        return id_, version + 1, position - previous if previous else None

    def name(self, text: str) -> int:
        """Return the id of a type or an actor."""
        id_ = self._names.get(text)
        if id_ is None:
            row = self._connection.execute("SELECT id FROM names WHERE name = ?", (text,)).fetchone()
            if row is None:
                id_, self._next_name = self._next_name, self._next_name + 1
                self._new_names.append((id_, text))
            else:
                id_ = int(row[0])
            self._names[text] = id_
        return id_

    def write(self) -> None:
        """Write the new names; call it in the transaction of the facts, before them."""
        if self._new_streams:
            self._connection.executemany(
                "INSERT OR ROLLBACK INTO streams (id, name, version, position) VALUES (?, ?, 0, 0)", self._new_streams
            )
        if self._new_names:
            self._connection.executemany("INSERT OR ROLLBACK INTO names (id, name) VALUES (?, ?)", self._new_names)

    def written(self) -> None:
        """Take note that the transaction is through."""
        self._new_streams.clear()
        self._new_names.clear()
        self._touched.clear()
