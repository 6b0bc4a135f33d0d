"""What we are measured against: the eventsourcing package's recorder, and SQLite with nothing around it."""

from __future__ import annotations

import itertools
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

BODY = "x" * 100


class Bare:
    """The log's row in the log's table with the log's index through Python's sqlite3: no hash, codec or triggers."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            "CREATE TABLE events (position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL,"
            " version INTEGER NOT NULL, type TEXT NOT NULL, at INTEGER NOT NULL, actor TEXT NOT NULL,"
            " correlation INTEGER NOT NULL, causation INTEGER, data TEXT NOT NULL, hash BLOB NOT NULL)",
        )
        self._connection.execute("CREATE UNIQUE INDEX stream_version ON events (stream, version)")
        self._positions = itertools.count(1)
        self._versions: dict[int, int] = {}

    def append(self, writers: list[int]) -> None:
        """Append one row for each of these writers in one transaction."""
        rows = []
        for writer in writers:
            position = next(self._positions)
            version = self._versions[writer] = self._versions.get(writer, 0) + 1
            data = f'{{"body":"{BODY}","sender":"operator","to":"agent-{writer}"}}'
            stream = f"inbox-agent-{writer}"
            rows.append(
                (position, stream, version, "MessageSent", position, "operator", position, None, data, bytes(32))
            )
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._connection.execute("COMMIT")


class Recorder:
    """eventsourcing's SQLite recorder on a file; each writer's event is its own call, as the package is used.

    Its connections keep SQLite's default, ``synchronous=FULL``, in WAL mode: as durable as ours.
    """

    def __init__(self, path: Path) -> None:
        self._recorder = SQLiteApplicationRecorder(SQLiteDatastore(str(path)))
        self._recorder.create_table()
        self._streams: dict[int, tuple[UUID, int]] = {}

    def append(self, writer: int) -> None:
        """Append one event; it is durable at the return."""
        stream, version = self._streams.get(writer) or (uuid4(), 0)
        self._streams[writer] = (stream, version + 1)
        state = msgspec.json.encode({"body": BODY, "sender": "operator", "to": f"agent-{writer}"})
        event = StoredEvent(
            originator_id=stream,
            originator_version=version + 1,
            topic="hive.messages:MessageSent",
            state=state,
        )
        self._recorder.insert_events([event])

    def append_together(self, writers: int, *, each: int) -> None:
        """Let so many threads append so often each; the package knows no other concurrent writers."""
        with ThreadPoolExecutor(writers) as threads:
            list(threads.map(self._append_often, range(writers), [each] * writers))

    def _append_often(self, writer: int, times: int) -> None:
        for _ in range(times):
            self.append(writer)

    def synchronous(self) -> int:
        """Return what its connections are set to; 2 is FULL."""
        with self._recorder.datastore.transaction(commit=False) as cursor:
            cursor.execute("PRAGMA synchronous")
            return int(cursor.fetchone()[0])
