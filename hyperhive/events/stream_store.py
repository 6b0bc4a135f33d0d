"""The turn streams: what an agent's sessions said and did, in a file of its own for each agent, kept by the host.

An agent cannot rewrite its own record: it can only send more, in the order of its harness's own count.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import msgspec

_CREATE = """
CREATE TABLE IF NOT EXISTS stream (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  run TEXT NOT NULL,
  number INTEGER NOT NULL,
  at TEXT NOT NULL,
  type TEXT NOT NULL,
  data TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS stream_run_number ON stream (run, number);
"""


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

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_CREATE)

    def next(self, run: str) -> int:
        """Return the number that is expected next of a run."""
        sql = "SELECT coalesce(max(number) + 1, 0) FROM stream WHERE run = ?"
        return int(self._connection.execute(sql, (run,)).fetchone()[0])

    def append(self, run: str, first: int, events: Sequence[dict[str, Any]]) -> int:
        """Keep a batch whose first event has the number ``first``; return the number expected next.

        What is there already is skipped. Raises `StreamGap` for a batch that begins too late, unless its first event is
        of the type ``dropped``, which stands for all numbers up to its own.
        """
        expected = self.next(run)
        if first > expected and (not events or events[0].get("type") != "dropped"):
            raise StreamGap(expected, first)
        rows = [
            (run, number, str(event.get("at", "")), str(event.get("type", "unknown")), _json(event.get("data", {})))
            for number, event in enumerate(events, start=first)
            if number >= expected
        ]
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(
                "INSERT INTO stream (run, number, at, type, data) VALUES (?, ?, ?, ?, ?)", rows
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return max(expected, first + len(events))

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
