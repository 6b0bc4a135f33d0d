"""The log: the one file that is written, and only at its end.

Appending is two steps, so that decisions in one batch see each other: `Log.record` gives a fact its place, `Log.commit`
makes all that was recorded durable in one transaction, with whatever else must be true at the same moment (the mirrored
projections). Between the two nothing is promised to anybody.

The caller's thread does the fsync (about 0.3 ms on a good disk). A disk that hangs hangs the daemon: nothing it could
answer meanwhile would be true.
"""

from __future__ import annotations

import contextlib
import operator
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import URL, create_engine, insert
from sqlalchemy.dialects import sqlite as dialect

from hyperhive.events import codec, schema
from hyperhive.events.damage import LogDamaged as LogDamaged  # noqa: PLC0414 - who opens a log names its errors
from hyperhive.events.damage import SegmentLost
from hyperhive.events.envelope import Actor, Cause, Fact, Recorded
from hyperhive.events.hashing import GENESIS, Envelope, link
from hyperhive.events.interning import Interning
from hyperhive.events.reading import Selection, select
from hyperhive.events.rows import END, Row, Rows, nameless, paged
from hyperhive.events.schema import AT_ZERO
from hyperhive.events.segments import Kept

_WAL_PAGES = 4_000
"""Between two checkpoints, 16 MB: a batch of many inboxes changes many pages, mostly the same ones as the last batch.
With SQLite's own 1,000 a checkpoint comes every 14 such batches and takes a tenth of the time."""


class LogFull(Exception):  # noqa: N818
    """The disk is full: nothing of the batch was written, and the log goes on once there is room."""


class LogFailed(Exception):  # noqa: N818
    """The file could not be made durable: what is in it is unknown until it is read anew, so the daemon must end."""


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
        self._insert = str(insert(schema.facts).prefix_with("OR ROLLBACK").compile(dialect=dialect.dialect()))
        self._rows: list[tuple[Any, ...]] = []
        self._position, self._hash = 0, GENESIS
        _check_triggers(connection)
        self._interning = Interning(connection)
        self.forget()

    @property
    def head(self) -> Head:
        """Where the log ends, with what is recorded and not yet committed."""
        return Head(position=self._position, hash=self._hash)

    def forget(self) -> None:
        """Drop what was recorded and not committed; read the head from the file."""
        self._rows.clear()
        self._interning.forget()
        row = self.connection.execute("SELECT position, hash FROM facts ORDER BY position DESC LIMIT 1").fetchone()
        self._position, self._hash = row or (0, GENESIS)

    def version(self, stream: str) -> int:
        """Return the version of the stream's last fact, recorded ones included; 0 for a stream without any."""
        return self._interning.stream(stream).version

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
        causation, correlation = cause or (None, self._position + 1)
        stream, type_, who = event.stream, type(event).__name__, str(actor)
        position = self._position + 1
        place = self._interning.advance(stream, position)
        envelope = (position, stream, place[1], type_, at, who, correlation, causation)
        self._put(place, envelope, data.decode(), link(self._hash, envelope, data))
        return Recorded(position, stream, place[1], type_, at, who, correlation, causation, event)

    def adopt(self, row: Row) -> None:
        """Take over a fact of another log with its hash, which must be the next one of this log; then `commit`."""
        *envelope, data, hash_ = row
        self._put(self._interning.advance(row[1], row[0]), tuple(envelope), data, hash_)

    def _put(self, place: tuple[int, int, int | None], envelope: Envelope, data: str, hash_: bytes) -> None:
        position, _, _, type_, at, actor, correlation, causation = envelope
        name = self._interning.name
        self._rows.append(
            (
                position,
                place[0],
                place[1],
                name(type_),
                at - AT_ZERO,
                name(actor),
                position - correlation,
                None if causation is None else position - causation,
                place[2],
                data,
                hash_,
            )
        )
        self._position, self._hash = position, hash_

    def commit(self, also: Callable[[sqlite3.Connection], None] | None = None) -> None:
        """Write what was recorded, and what ``also`` writes, in one transaction; return once it is durable.

        Raises `LogFull` where there is no room (nothing was written, the log can go on) and `LogFailed` where it is
        unknown what was written (the process must end). After either, everything folded from the batch is void.
        """
        connection = self.connection
        # What `transaction` does, without its generator: after a sync's wait every line costs several times its usual.
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._interning.write()
            connection.executemany(self._insert, self._rows)
            if also is not None:
                also(connection)
            connection.execute("COMMIT")
        except Exception as error:
            _roll_back(connection)
            if isinstance(error, LogDamaged):
                raise
            failure = failure_of(error)
            if isinstance(failure, LogFull):
                self.forget()
            raise failure from error
        self._rows.clear()
        self._interning.written()

    def leave(self, segment: Kept) -> None:
        """Let the facts go that a segment holds, which `archiving.write` has written.

        Raises `LogFull` and `LogFailed` as `commit` does.
        """
        marks = ", ".join("?" * len(attrs.fields(Kept)))
        with transaction(self.connection):
            self.connection.execute(
                f"INSERT OR ROLLBACK INTO segments VALUES ({marks}, NULL)",  # noqa: S608 - ours
                attrs.astuple(segment),
            )
            self.connection.execute("DELETE FROM facts WHERE position <= ?", (segment.last,))

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
        _roll_back(connection)
        if isinstance(error, LogDamaged):
            raise
        raise failure_of(error) from error


def _roll_back(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def failure_of(error: BaseException) -> LogFull | LogFailed:
    """Say in the log's words what SQLite could not do."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return LogFull("the disk with the log is full: nothing was written; make room and try again")
    return LogFailed(f"the log could not be made durable: {error}")


def read(connection: sqlite3.Connection, *, after: int = 0, until: int | None = None) -> Iterator[Recorded]:
    """Yield the facts after a position, in order, decoded, also those that are archived.

    Raises `LogDamaged` with the position for a fact that cannot be read, and names the release that wrote it where its
    type is unknown here.
    """
    return chain.from_iterable(_Facts(connection).pages(after, END if until is None else until))


class _Facts(Rows):
    """The same reader, with each row made a fact while it is at hand: a replay does little else."""

    _position = operator.attrgetter("position")

    def _live(self, after: int, until: int, *, hashes: bool) -> Iterator[list[Recorded]]:
        del hashes  # they are no part of a fact
        return paged(self.selected(after, until), self._take)

    def _archived(self, segment: Kept, after: int, until: int, *, hashes: bool) -> Iterator[list[Recorded]]:
        for page in super()._archived(segment, after, until, hashes=hashes):
            yield from paged(iter(page), self._take_named)

    def _take(self, found: Iterable[Row], page: list[Recorded]) -> None:
        streams, names, decoders, put = self._streams, self._names, codec.DECODERS, page.append
        position = type_ = 0
        try:
            for position, stream, version, type_, at, actor, correlation, causation, data in found:
                name = names[type_]
                event = decoders[name](data)
                put(Recorded(position, streams[stream], version, name, at, names[actor], correlation, causation, event))
        except KeyError as error:
            raise nameless(position, error) from None
        except codec.UNREADABLE as error:
            raise self._unreadable(position, names[type_], error) from error

    def _take_named(self, found: Iterable[Row], page: list[Recorded]) -> None:
        for row in found:
            try:
                page.append(Recorded(*(*row[:8], codec.decode(row[3], row[8]))))
            except codec.UNREADABLE as error:
                raise self._unreadable(row[0], row[3], error) from error

    def _unreadable(self, position: int, type_name: str, error: Exception) -> LogDamaged:
        if isinstance(error, codec.UnknownType):
            release = release_at(self.connection, position)
            return LogDamaged(f"position {position} has {error}; release {release} wrote it and can read it")
        return LogDamaged(f"position {position}: {codec.misfit(type_name, error)}")


def release_at(connection: sqlite3.Connection, position: int) -> str:
    """Return the release of the daemon that wrote this position, ``unknown`` where none that can be read says so."""
    newest = Selection(types=("DaemonStarted",), until=position)
    try:
        found = list(select(connection, newest, limit=1))
    except SegmentLost:
        return "unknown"
    return str(found[0]["data"]["release"]) if found else "unknown"


def _check_triggers(connection: sqlite3.Connection) -> None:
    missing = schema.missing(connection)
    if missing:
        raise LogDamaged(f"the log's file lacks what keeps it append-only: {', '.join(missing)}")
