"""The log: the one file that is written, and only at its end.

Appending is two steps, so that decisions in one batch see each other: `Log.record` gives a fact its place, `Log.commit`
makes all that was recorded durable in one transaction, with whatever else must be true at the same moment (the mirrored
projections). Between the two nothing is promised to anybody.

The caller's thread does the fsync (about 0.3 ms on a good disk). A disk that hangs hangs the daemon: nothing it could
answer meanwhile would be true.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import URL, create_engine, insert
from sqlalchemy.dialects import sqlite as dialect

from hyperhive.events import codec, schema
from hyperhive.events.chain import GENESIS, link
from hyperhive.events.envelope import Actor, Cause, Fact, Recorded

_VERSIONS_KEPT = 10_000
_WAL_PAGES = 4_000
"""Between two checkpoints, 16 MB: a batch of many inboxes changes many pages, mostly the same ones as the last batch.
With SQLite's own 1,000 a checkpoint comes every 14 such batches and takes a tenth of the time."""


class LogFull(Exception):  # noqa: N818
    """The disk is full: nothing of the batch was written, and the log goes on once there is room."""


class LogFailed(Exception):  # noqa: N818
    """The file could not be made durable: what is in it is unknown until it is read anew, so the daemon must end."""


class LogDamaged(Exception):  # noqa: N818
    """The file is not a log that this release can append to."""


@attrs.frozen(kw_only=True)
class Head:
    """Where the log ends."""

    position: int = 0
    hash: bytes = GENESIS


def connect(path: Path) -> sqlite3.Connection:
    """Open the writer's connection: WAL, a full fsync at each commit, transactions by hand.

    Raises `LogFull` and `LogFailed` where what the file holds cannot be made durable.
    """
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, connect_args={"isolation_level": None, "check_same_thread": False})
    raw = engine.raw_connection()
    connection = raw.driver_connection
    raw.detach()
    assert isinstance(connection, sqlite3.Connection)  # noqa: S101 - the sqlite dialect's driver
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
    try:
        # After an fsync that failed, what can be read of the WAL may stand in the page cache alone, and nothing would
        # write it again. A checkpoint copies it into the file and syncs that.
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    except sqlite3.Error as error:
        connection.close()
        raise failure_of(error) from error
    return connection


def read_only(path: Path) -> sqlite3.Connection:
    """Open a reader's connection; it sees what is committed, also while a daemon writes."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout=5000")
    return connection


class Log:
    """The one writer of a log's file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._insert = str(insert(schema.events).prefix_with("OR ROLLBACK").compile(dialect=dialect.dialect()))
        self._rows: list[tuple[Any, ...]] = []
        self._versions: dict[str, int] = {}
        self._position, self._hash = 0, GENESIS
        _check_triggers(connection)
        self.forget()

    @property
    def head(self) -> Head:
        """Where the log ends, with what is recorded and not yet committed."""
        return Head(position=self._position, hash=self._hash)

    def forget(self) -> None:
        """Drop what was recorded and not committed; read the head from the file."""
        self._rows.clear()
        self._versions.clear()
        row = self.connection.execute("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1").fetchone()
        self._position, self._hash = row or (0, GENESIS)

    def version(self, stream: str) -> int:
        """Return the version of the stream's last fact, recorded ones included; 0 for a stream without any."""
        version = self._versions.get(stream)
        if version is None:
            sql = "SELECT max(version) FROM events WHERE stream = ?"
            version = self.connection.execute(sql, (stream,)).fetchone()[0] or 0
            if len(self._versions) >= _VERSIONS_KEPT:
                # Only streams with something uncommitted must stay; the others can be looked up again.
                pending = {row[1] for row in self._rows}
                self._versions = {name: at for name, at in self._versions.items() if name in pending}
            self._versions[stream] = version
        return version

    def record(
        self,
        event: Fact,
        *,
        at: int,
        actor: Actor | str,
        cause: Cause | None = None,
        data: bytes | None = None,
    ) -> Recorded:
        """Give a fact the next place; it is durable only after `commit`.

        ``data`` is the fact as `codec.encode` wrote it, from those who had to know whether it can be written. Raises
        `codec.BadData` for one that cannot, and then nothing is recorded.
        """
        if data is None:
            data = codec.encode(event)
        position = self._position + 1
        stream = event.stream
        version = self.version(stream) + 1
        causation, correlation = cause or (None, position)
        envelope = (position, stream, version, type(event).__name__, at, str(actor), correlation, causation)
        hash_ = link(self._hash, envelope, data)
        self._rows.append((*envelope, data.decode(), hash_))
        self._versions[stream] = version
        self._position, self._hash = position, hash_
        return Recorded(*envelope, event)

    def commit(self, also: Callable[[sqlite3.Connection], None] | None = None) -> None:
        """Write what was recorded, and what ``also`` writes, in one transaction; return once it is durable.

        Raises `LogFull` where there is no room (nothing was written, the log can go on) and `LogFailed` where it is
        unknown what was written (the process must end). After either, everything folded from the batch is void.
        """
        try:
            with transaction(self.connection):
                self.connection.executemany(self._insert, self._rows)
                if also is not None:
                    also(self.connection)
        except LogFull:
            self.forget()
            raise
        self._rows.clear()

    def read(self, first: int, last: int) -> list[Recorded]:
        """Return the facts from position ``first`` to ``last``, both included."""
        return list(read(self.connection, after=first - 1, until=last))

    def close(self) -> None:
        """Close the file; what was recorded and not committed is dropped."""
        self.connection.close()


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Make all that is written inside durable at the end, or none of it.

    Raises `LogFull` and `LogFailed` as `Log.commit` does.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except Exception as error:
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if isinstance(error, LogDamaged):
            raise
        raise failure_of(error) from error


def failure_of(error: BaseException) -> LogFull | LogFailed:
    """Say in the log's words what SQLite could not do."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return LogFull("the disk with the log is full: nothing was written; make room and try again")
    return LogFailed(f"the log could not be made durable: {error}")


COLUMNS = "position, stream, version, type, at, actor, correlation, causation, data"


def read(connection: sqlite3.Connection, *, after: int = 0, until: int | None = None) -> Iterator[Recorded]:
    """Yield the facts after a position, in order, decoded.

    Raises `LogDamaged` with the position for a fact that cannot be read, and names the release that wrote it where its
    type is unknown here.
    """
    sql = f"SELECT {COLUMNS} FROM events WHERE position > ? AND position <= ? ORDER BY position"  # noqa: S608
    decode, new = codec.decode, tuple.__new__
    row: tuple[Any, ...] = (after,)
    try:
        for row in connection.execute(sql, (after, until if until is not None else 2**62)):
            # What Recorded(*row[:8], …) does, in half its time; a replay does little else.
            yield new(Recorded, (*row[:8], decode(row[3], row[8])))
    except codec.UnknownType as error:
        release = release_at(connection, row[0])
        raise LogDamaged(
            f"position {row[0]} has {error}; release {release} wrote it and can read it",
        ) from error
    except codec.BadData as error:
        raise LogDamaged(f"position {row[0]}: {error}") from error


def release_at(connection: sqlite3.Connection, position: int) -> str:
    """Return the release of the daemon that wrote this position, ``unknown`` where none says so."""
    row = connection.execute(
        "SELECT json_extract(data, '$.release') FROM events WHERE type = 'DaemonStarted' AND position <= ?"
        " ORDER BY position DESC LIMIT 1",
        (position,),
    ).fetchone()
    return str(row[0]) if row else "unknown"


def _check_triggers(connection: sqlite3.Connection) -> None:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'events'")
    found = dict(rows.fetchall())
    missing = [name for name, sql in schema.TRIGGERS.items() if found.get(name) != sql.strip()]
    if missing:
        raise LogDamaged(f"the log's file lacks what keeps it append-only: {', '.join(missing)}")
