"""The turn streams: what an agent's sessions said and did, in a file of its own for each agent, kept by the host.

An agent cannot rewrite its own record: it can only send more, in the order of its harness's own count. When something
came is told by the host's clock; the time that an event itself carries is the harness's word, and nothing is removed
for it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import msgspec

_CREATE_STREAM = """
CREATE TABLE IF NOT EXISTS stream (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  run TEXT NOT NULL,
  number INTEGER NOT NULL,
  at TEXT NOT NULL,
  type TEXT NOT NULL,
  data TEXT NOT NULL,
  received_at INTEGER NOT NULL
)
"""
_CREATE_INDEX = "CREATE UNIQUE INDEX IF NOT EXISTS stream_run_number ON stream (run, number)"
_CREATE_RUNS = """
CREATE TABLE IF NOT EXISTS runs (
  run TEXT NOT NULL PRIMARY KEY,
  next INTEGER NOT NULL,
  received_at INTEGER NOT NULL
)
"""
_ADD_RECEIVED = "ALTER TABLE stream ADD COLUMN received_at INTEGER NOT NULL DEFAULT {now}"
"""For a file of a release that did not keep it: as if all had come when this one first opens it."""
_ADD_RUNS = "INSERT INTO runs SELECT run, max(number) + 1, {now} FROM stream GROUP BY run"

RUNS_KEPT = 100
"""Whose next number is known although their events may be gone; only the newest run ever goes on."""
RECLAIM_PAGES = 256
"""A mebibyte, below which it is not worth writing a file anew to make it smaller; later events fill the room."""


class StreamGap(Exception):  # noqa: N818
    """A batch begins after what is expected next and does not say what was dropped."""

    def __init__(self, expected: int, first: int) -> None:
        super().__init__(f"the stream goes on at {expected}, not at {first}; a dropped event says what is missing")
        self.expected = expected


@attrs.frozen(kw_only=True)
class StreamEvent:
    """One event of a turn stream; ``number`` counts in its harness's ``run``, ``id`` in the file."""

    run: str
    number: int
    at: str
    """RFC 3339 UTC, by the harness's clock."""
    type: str
    data: dict[str, Any]
    id: int = 0


class StreamStore:
    """One agent's file. Not for the event loop's thread: it waits for the disk."""

    def __init__(self, path: Path, *, clock: Callable[[], int] = lambda: time.time_ns() // 1_000) -> None:
        self._clock = clock
        """Microseconds since 1970."""
        path.touch(mode=0o600, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        with self._transaction():
            self._create()

    def _create(self) -> None:
        columns = [name for _, name, *_ in self._connection.execute("PRAGMA table_info(stream)")]
        for statement in (_CREATE_STREAM, _CREATE_INDEX, _CREATE_RUNS):
            self._connection.execute(statement)
        if columns and "received_at" not in columns:
            for statement in (_ADD_RECEIVED, _ADD_RUNS):
                self._connection.execute(statement.format(now=int(self._clock())))

    def next(self, run: str) -> int:
        """Return the number that is expected next of a run."""
        row = self._connection.execute("SELECT next FROM runs WHERE run = ?", (run,)).fetchone()
        return int(row[0]) if row is not None else 0

    def append(self, run: str, first: int, events: Sequence[dict[str, Any]]) -> int:
        """Keep a batch whose first event has the number ``first``; return the number expected next.

        What is there already is skipped. Raises `StreamGap` for a batch that begins too late, unless its first event is
        of the type ``dropped``, which stands for all numbers up to its own.
        """
        expected = self.next(run)
        if first > expected and (not events or events[0].get("type") != "dropped"):
            raise StreamGap(expected, first)
        now = self._clock()
        rows = [
            (
                run,
                number,
                str(event.get("at", "")),
                str(event.get("type", "unknown")),
                _json(event.get("data", {})),
                now,
            )
            for number, event in enumerate(events, start=first)
            if number >= expected
        ]
        after = max(expected, first + len(events))
        if rows:
            with self._transaction():
                self._connection.executemany(
                    "INSERT INTO stream (run, number, at, type, data, received_at) VALUES (?, ?, ?, ?, ?, ?)", rows
                )
                self._connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", (run, after, now))
        return after

    def trim(self, *, before: int, keep: int) -> int:
        """Remove what came before a moment (microseconds since 1970) and all but the newest ``keep``; return how many.

        A run goes on where it was, also when all of it is gone. The file becomes smaller where that is worth it.
        """
        with self._transaction():
            sql = "SELECT id FROM stream ORDER BY id DESC LIMIT 1 OFFSET ?"
            last = self._connection.execute(sql, (keep,)).fetchone() or (0,)
            sql = "DELETE FROM stream WHERE id <= ? OR received_at < ?"
            count = self._connection.execute(sql, (*last, before)).rowcount
            newest = "SELECT run FROM runs ORDER BY received_at DESC LIMIT ?"
            self._connection.execute(f"DELETE FROM runs WHERE run NOT IN ({newest})", (RUNS_KEPT,))  # noqa: S608 - ours
        if count:
            self._reclaim()
        return count

    def _reclaim(self) -> None:
        free, pages = (self._pragma(name) for name in ("freelist_count", "page_count"))
        if free > RECLAIM_PAGES and free * 4 > pages:
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def read(self, *, after: int = 0, limit: int = 1000) -> Iterator[StreamEvent]:
        """Yield events after an id, oldest first."""
        sql = "SELECT run, number, at, type, data, id FROM stream WHERE id > ? ORDER BY id LIMIT ?"
        for run, number, at, type_, data, id_ in self._connection.execute(sql, (after, limit)):
            yield StreamEvent(run=run, number=number, at=at, type=type_, data=msgspec.json.decode(data), id=id_)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _json(data: object) -> str:
    return msgspec.json.encode(data).decode()
