"""The file of checkpoints beside a log: folded states, and an index of what led to what. Derived, and disposable.

The log is cut into blocks of `BLOCK` facts. For each whole block the file has the chain's hash at its end, one small
row for each fact, and mostly a checkpoint. What comes after the last whole block is read from the log, so that nothing
is written for it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs

from hyperhive.projections.hive import Hive
from hyperhive.replay.fingerprint import fingerprint
from hyperhive.replay.snapshot import BadSnapshot, pack, unpack

BLOCK = 4_096
"""Facts: folding so many takes some 30 ms."""
BYTES_PER_FACT = 64
"""A checkpoint larger than this times its facts comes after as many more of them, so that the file stays small beside
the log also where thousands of messages wait."""

_TABLES = """
CREATE TABLE made_by (fold TEXT NOT NULL);
CREATE TABLE blocks (position INTEGER PRIMARY KEY, hash BLOB NOT NULL, state BLOB, digest BLOB);
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE facts (position INTEGER PRIMARY KEY, type INTEGER NOT NULL, agent INTEGER, actor INTEGER NOT NULL);
CREATE TABLE links (cause INTEGER, position INTEGER, PRIMARY KEY (cause, position)) WITHOUT ROWID;
CREATE TABLE marks (position INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, agent TEXT);
"""


_NOT_ITS_FAULT = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
)


class BadStore(Exception):  # noqa: N818
    """A file that cannot serve as one of checkpoints; the log can be read without it."""

    def __init__(self, text: str, cause: BaseException | None = None) -> None:
        super().__init__(f"{text}: {cause}" if cause is not None else text)
        code = getattr(cause, "sqlite_errorcode", None)
        self.damaged = isinstance(cause, sqlite3.Error) and (code is None or code & 0xFF not in _NOT_ITS_FAULT)
        """Whether it is worth making anew."""


@attrs.frozen(kw_only=True)
class Checkpoint:
    """A folded state as the file keeps it."""

    position: int
    hash: bytes
    state: bytes
    digest: bytes

    def hive(self) -> Hive:
        """Unpack it; raises `BadSnapshot` where it is not what was written."""
        if digest_of(self.position, self.hash, self.state) != self.digest:
            raise BadSnapshot(f"the checkpoint at {self.position} is not what was written")
        return unpack(self.position, self.state)


@attrs.frozen(kw_only=True)
class Block:
    """What is written for one whole block."""

    last: int
    hash: bytes
    facts: list[tuple[int, str, str | None, str]]
    """Position, type, agent, actor."""
    links: list[tuple[int, int]]
    marks: list[tuple[int, int, str, str | None]]
    """Position, time, kind, agent."""


def digest_of(position: int, hash_: bytes, state: bytes) -> bytes:
    """Return what shows that a checkpoint is whole, and of which place in which chain."""
    return sha256(b"%d\n%b%b" % (position, hash_, state)).digest()


def beside(log: Path) -> Path:
    """Return where the checkpoints of a log are."""
    return log.with_name(f"{log.name}.checkpoints")


class Store:
    """An open file of checkpoints, or one in memory. One thread at a time."""

    def __init__(self, connection: sqlite3.Connection, *, begin: bool = True, block: int = BLOCK) -> None:
        self._connection = connection
        self.block = block
        """Facts in one."""
        self._names: dict[str, int] = {}
        if begin:
            with self._transaction():
                self._begin()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def adopt(self, agrees: Callable[[int, bytes], bool]) -> None:
        """Drop what is not of this log: a restored backup goes on from an earlier place, with another chain."""
        rows = self._all("SELECT position, hash FROM blocks ORDER BY position")
        # Chains that agree at one place agree at all before it.
        low, high = 0, len(rows)
        if rows and agrees(*rows[-1]):
            return
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if agrees(*rows[middle]) else (low, middle)
        if low < len(rows):
            self.cut(rows[low - 1][0] if low else 0)

    def cut(self, last: int) -> None:
        """Drop everything after a position."""
        with self._transaction():
            for table in ("blocks", "facts", "links", "marks"):
                self._connection.execute(f"DELETE FROM {table} WHERE position > ?", (last,))  # noqa: S608 - ours

    @property
    def last(self) -> int:
        """The end of the last whole block that is kept."""
        return int(self._all("SELECT coalesce(max(position), 0) FROM blocks")[0][0])

    def hash_at(self, block: int) -> bytes | None:
        """Return the chain's hash at a block's end."""
        rows = self._all("SELECT hash FROM blocks WHERE position = ?", block)
        return rows[0][0] if rows else None

    def checkpoints(self, *, until: int) -> Iterator[Checkpoint]:
        """Yield the checkpoints up to a position, newest first."""
        while True:
            rows = self._all(
                "SELECT position, hash, state, digest FROM blocks, made_by"
                " WHERE position <= ? AND state IS NOT NULL AND fold = ? ORDER BY position DESC LIMIT 1",
                until,
                fingerprint(),
            )
            if not rows:
                return
            position, hash_, state, digest = rows[0]
            yield Checkpoint(position=position, hash=hash_, state=state, digest=digest)
            until = position - 1

    def ends(self) -> list[int]:
        """Return where the checkpoints are, oldest first."""
        return [int(row[0]) for row in self._all("SELECT position FROM blocks WHERE state IS NOT NULL")]

    def put(self, block: Block, hive: Hive) -> None:
        """Keep one more block, and a checkpoint where one is due; what another process has written meanwhile stays."""
        with self._transaction():
            if self._all("SELECT fold FROM made_by") != [(fingerprint(),)]:
                raise BadStore("a program of another release has made the file of checkpoints anew")
            if self.last + self.block != block.last:
                return
            self._connection.executemany(
                "INSERT INTO facts VALUES (?, ?, ?, ?)",
                [(at, self._id(type_), self._id(agent), self._id(actor)) for at, type_, agent, actor in block.facts],
            )
            self._connection.executemany("INSERT INTO links VALUES (?, ?)", sorted(block.links))
            self._connection.executemany("INSERT INTO marks VALUES (?, ?, ?, ?)", block.marks)
            state = self._due(block.last, hive)
            digest = None if state is None else digest_of(block.last, block.hash, state)
            self._connection.execute("INSERT INTO blocks VALUES (?, ?, ?, ?)", (block.last, block.hash, state, digest))

    def _due(self, position: int, hive: Hive) -> bytes | None:
        rows = self._all("SELECT position, length(state) FROM blocks WHERE state IS NOT NULL ORDER BY 1 DESC LIMIT 1")
        before, size = rows[0] if rows else (0, 0)
        return pack(hive) if size <= (position - before) * BYTES_PER_FACT else None

    def select(self, sql: str, *parameters: object) -> list[Any]:
        """Ask the index."""
        return self._all(sql, *parameters)

    def id_of(self, name: str) -> int | None:
        """Return the number that stands for a type, an agent or an actor; None where it never occurred."""
        rows = self._all("SELECT id FROM names WHERE name = ?", name)
        return int(rows[0][0]) if rows else None

    def _id(self, name: str | None) -> int | None:
        if name is None:
            return None
        found = self._names.get(name)
        if found is None:
            self._connection.execute("INSERT OR IGNORE INTO names (name) VALUES (?)", (name,))
            found = self._names[name] = self.id_of(name) or 0
        return found

    def _begin(self) -> None:
        """Make the tables, anew where other code made those that are there."""
        tables = [row[0] for row in self._all("SELECT name FROM sqlite_master WHERE type = 'table'")]
        if "made_by" in tables and self._all("SELECT fold FROM made_by") == [(fingerprint(),)]:
            return
        for table in tables:
            self._connection.execute(f'DROP TABLE "{table}"')
        for statement in _TABLES.strip().splitlines():
            self._connection.execute(statement)
        self._connection.execute("INSERT INTO made_by VALUES (?)", (fingerprint(),))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise BadStore("the file of checkpoints cannot be written", error) from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
                self._names.clear()

    def _all(self, sql: str, *parameters: object) -> list[Any]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise BadStore("the file of checkpoints cannot be read", error) from error


def open_store(log: Path, *, block: int = BLOCK) -> Store:
    """Open the checkpoints of a log, made (0600) where there are none, anew where they are damaged.

    Raises `BadStore` where this user may not write them.
    """
    try:
        return _open(beside(log), log, block)
    except BadStore as bad:
        if not bad.damaged:
            raise
    discard(beside(log))
    return _open(beside(log), log, block)


def _open(path: Path, log: Path, block: int) -> Store:
    try:
        _check(path, log)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    except (OSError, sqlite3.Error) as error:
        raise BadStore(f"{path} cannot be opened", error) from error
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return Store(connection, block=block)
    except sqlite3.Error as error:
        connection.close()
        raise BadStore(f"{path} is no file of checkpoints that can be used", error) from error
    except BadStore:
        connection.close()
        raise


def read_store(log: Path) -> Store:
    """Open the checkpoints of a log to look at them; an empty store where there are none, or none of this release."""
    place = beside(log)
    if not place.exists():
        return in_memory()
    try:
        connection = sqlite3.connect(f"{place.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5)
        made_by = connection.execute("SELECT fold FROM made_by").fetchall()
    except sqlite3.Error as error:
        raise BadStore(f"{place} is no file of checkpoints", error) from error
    if made_by == [(fingerprint(),)]:
        return Store(connection, begin=False)
    connection.close()
    return in_memory()


def in_memory(*, block: int = BLOCK) -> Store:
    """Open a store that goes with the process."""
    return Store(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False), block=block)


def discard(path: Path) -> None:
    """Remove a file of checkpoints, so that it is made anew."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _check(path: Path, log: Path) -> None:
    """Make the file for the log's owner, and see that it is one: whoever put a link there would have it written to."""
    owner = log.stat()
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in (os.geteuid(), owner.st_uid):
            raise PermissionError(f"{path} is neither this user's file nor of the log's owner")
        if found.st_uid != owner.st_uid:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)  # root looked first, and the daemon is somebody else
    finally:
        os.close(descriptor)
