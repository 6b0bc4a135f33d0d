"""The projections' tables: written with the facts in one transaction, read at a start instead of history.

Each table has its row's fields and ``is_open``; an index on the open rows keeps a start as short as the hive is small,
however old the log. `migrations/` creates the tables; `rebuild` may fill any of them again from the log.
"""

from __future__ import annotations

import sqlite3
import types
import typing
from collections.abc import Iterable, Iterator

import msgspec
from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, PrimaryKeyConstraint, Table, Text, text
from sqlalchemy.dialects import sqlite as dialect
from sqlalchemy.dialects.sqlite import insert

from hyperhive.events.envelope import Recorded
from hyperhive.events.log import read, transaction
from hyperhive.projections.hive import PROJECTIONS, Changed, Hive
from hyperhive.projections.projection import Key, Projection, Row, Sweep

REBUILD_BATCH = 10_000
"""Facts folded between two writes of the rows that they changed."""

metadata = MetaData()

state = Table(
    "projections",
    metadata,
    Column("name", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("position", Integer, nullable=False),
)
"""Up to where each table is folded, and by which revision of its fold."""

_SQL_TYPES = {int: Integer, float: Float, bool: Boolean}


def _column(name: str, annotation: object) -> Column[object]:
    nullable = False
    if isinstance(annotation, types.UnionType):
        annotation = next(part for part in annotation.__args__ if part is not type(None))
        nullable = True
    sql_type = next((sql for plain, sql in _SQL_TYPES.items() if annotation is plain), Text)
    # Quoted: `commit` is a word of SQL, and SQLAlchemy does not know it as one.
    return Column(name, sql_type(), nullable=nullable, quote=True)


def _table(projection: Projection) -> Table:
    hints = typing.get_type_hints(projection.row)
    closed = Index(f"{projection.name}_closed", *projection.key, sqlite_where=text("NOT is_open"))
    columns = [_column(name, hints[name]) for name in projection.fields]
    return Table(
        projection.name,
        metadata,
        *columns,
        Column("is_open", Boolean, nullable=False),
        PrimaryKeyConstraint(*projection.order),
        # By the last key field alone: it grows with the log, so that new rows stand together on a page. With the first
        # one, a commit on 64 inboxes would write 64 pages more.
        Index(f"{projection.name}_open", projection.key[-1], sqlite_where=text("is_open")),
        *([closed] if projection.by_arrival else ()),
        *(
            Index(f"{projection.name}_{column}", column, sqlite_where=text(f"{column} IS NOT NULL"))
            for column in projection.swept
        ),
    )


TABLES: dict[str, Table] = {projection.name: _table(projection) for projection in PROJECTIONS}


def _upsert(projection: Projection) -> str:
    statement = insert(TABLES[projection.name])
    updates = {name: statement.excluded[name] for name in (*projection.fields, "is_open") if name not in projection.key}
    # Positional values in the order of the columns: fields, then is_open.
    return str(
        statement.on_conflict_do_update(index_elements=projection.key, set_=updates).compile(dialect=dialect.dialect()),
    )


def quoted(names: Iterable[str]) -> str:
    """List column names for SQL; some are its keywords (``to``)."""
    return ", ".join(f'"{name}"' for name in names)


def _key_clause(projection: Projection) -> str:
    return " AND ".join(f'"{name}" = ?' for name in projection.key)


_UPSERTS = {projection.name: _upsert(projection) for projection in PROJECTIONS}
_DELETES = {p.name: f"DELETE FROM {p.name} WHERE {_key_clause(p)}" for p in PROJECTIONS}  # noqa: S608 - names are ours
_SWEEPS = {
    (p.name, column): f"DELETE FROM {p.name} WHERE {column} < ? AND NOT is_open"  # noqa: S608 - as above
    for p in PROJECTIONS
    for column in p.swept
}
_MARK = "UPDATE projections SET position = ?"


class Mirror:
    """The changes of one batch, written once per row however often it changed."""

    def __init__(self) -> None:
        self._changes: dict[str, dict[Key, Row | None]] = {projection.name: {} for projection in PROJECTIONS}
        self._sweeps: list[tuple[str, Sweep]] = []
        self._position = 0

    def note(self, position: int, changed: Iterable[Changed]) -> None:
        """Take what one fact changed."""
        for projection, key, row in changed:
            if row is None and isinstance(key, Sweep):
                self._sweep(projection, key)
            else:
                self._changes[projection.name][key] = row
        self._position = position

    def _sweep(self, projection: Projection, sweep: Sweep) -> None:
        """Take from the batch what changed before the sweep; what the table has from earlier goes when it is written.

        That is first of all, so that a row which the batch changes stays or goes by what it became.
        """
        changes = self._changes[projection.name]
        for key, row in changes.items():
            if row is not None and not projection.is_open(row) and sweep.takes(row):
                changes[key] = None
        self._sweeps.append((projection.name, sweep))

    def write(self, connection: sqlite3.Connection) -> None:
        """Write what was noted since the last `clear`; call it in the transaction that appends the facts."""
        for name, sweep in self._sweeps:
            connection.execute(_SWEEPS[name, sweep.column], (sweep.before,))
        for projection in PROJECTIONS:
            changes = self._changes[projection.name]
            if not changes:
                continue
            is_open, values = projection.is_open, projection.values
            puts = [(*values(row), is_open(row)) for row in changes.values() if row is not None]
            if puts:
                connection.executemany(_UPSERTS[projection.name], puts)
            if len(puts) < len(changes):
                drops = [key if isinstance(key, tuple) else (key,) for key, row in changes.items() if row is None]
                connection.executemany(_DELETES[projection.name], drops)
        connection.execute(_MARK, (self._position,))

    def clear(self) -> None:
        """Forget what was noted: it is written, or void."""
        self._sweeps.clear()
        for changes in self._changes.values():
            changes.clear()


def stale(connection: sqlite3.Connection) -> str | None:
    """Say why the tables cannot be read as they are, or None: they stand at the log's end, folded by today's folds."""
    found = {name: (revision, position) for name, revision, position in connection.execute("SELECT * FROM projections")}
    head = connection.execute("SELECT coalesce(max(position), 0) FROM facts").fetchone()[0]
    for projection in PROJECTIONS:
        revision, position = found.get(projection.name, (0, 0))
        if revision != projection.revision:
            return f"{projection.name} was folded by revision {revision} of its fold, now {projection.revision}"
        if position != head:
            return f"{projection.name} stands at {position}, the log at {head}"
    return None


def load(connection: sqlite3.Connection) -> Hive:
    """Read the open rows of tables that are not `stale`; the cost does not grow with the log."""
    hive = Hive()
    hive.position = connection.execute("SELECT coalesce(max(position), 0) FROM facts").fetchone()[0]
    for projection in PROJECTIONS:
        rows = hive.rows[projection.name]
        # By name: for the order SQLite would rather go through every row by its key.
        clause = f"INDEXED BY {projection.name}_open WHERE is_open"
        for key, row in read_rows(connection, projection, clause):
            rows.put(key, row)
    return hive


def read_rows(
    connection: sqlite3.Connection,
    projection: Projection,
    clause: str = "",
    parameters: tuple[object, ...] = (),
) -> Iterator[tuple[Key, Row]]:
    """Yield rows of a table as the projection's class; in the table's order unless ``clause`` orders them."""
    order = "" if "ORDER BY" in clause else f"ORDER BY {quoted(projection.order)}"
    sql = f"SELECT {quoted(projection.fields)} FROM {projection.name} {clause} {order}"  # noqa: S608
    positions = [projection.fields.index(name) for name in projection.key]
    for values in connection.execute(sql, parameters):
        fields = dict(zip(projection.fields, values, strict=True))
        for name in projection.packed:
            fields[name] = msgspec.json.decode(fields[name])
        row: Row = msgspec.convert(fields, projection.row, strict=False)
        key = values[positions[0]] if len(positions) == 1 else tuple(values[at] for at in positions)
        yield key, row


def rebuild(
    connection: sqlite3.Connection, *, source: sqlite3.Connection | None = None, until: int | None = None
) -> Hive:
    """Fold a log from position 0 into the tables behind ``connection``; return the hive as it stands then.

    ``source`` is the connection to read facts from, where it is another file's. Runs in a transaction of its own.
    """
    hive, mirror = Hive(), Mirror()
    with transaction(connection):
        connection.execute("DELETE FROM projections")
        for projection in PROJECTIONS:
            connection.execute(f"DELETE FROM {projection.name}")  # noqa: S608
            connection.execute("INSERT INTO projections VALUES (?, ?, 0)", (projection.name, projection.revision))
        facts = read(source or connection, until=until)
        for count, recorded in enumerate(facts, start=1):
            _note(hive, mirror, recorded)
            if count % REBUILD_BATCH == 0:
                mirror.write(connection)
                mirror.clear()
        mirror.note(hive.position, ())
        mirror.write(connection)
    return hive


def _note(hive: Hive, mirror: Mirror, recorded: Recorded) -> None:
    mirror.note(recorded.position, hive.fold(recorded))
