"""The log: what is appended stays, in order, and nothing else gets in."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from hyperhive.events import schema
from hyperhive.events.agents import SpawnRequested
from hyperhive.events.codec import BadData
from hyperhive.events.envelope import DAEMON, OPERATOR, Cause, Recorded, actor_of_agent
from hyperhive.events.hive import DaemonStarted, HiveCreated
from hyperhive.events.log import Head, Log, LogDamaged, LogFailed, connect, read, read_only, release_at
from hyperhive.events.messages import MessageSent
from hyperhive.events.turns import TurnEnded

AT = 1_767_225_600_000_000


@pytest.fixture
def log(hive_db: Path) -> Log:
    """Return an open, empty log."""
    return Log(connect(hive_db))


def send(log: Log, to: str = "coder", body: str = "hi") -> Recorded:
    """Record a message."""
    return log.record(MessageSent(to=to, sender="operator", body=body), at=AT, actor=OPERATOR)


def filled(path: Path) -> Log:
    """Return a log with three facts in two streams."""
    log = Log(connect(path))
    send(log)
    send(log, "reviewer")
    send(log)
    log.commit()
    return log


class TestAppend:
    """Recording and committing."""

    def test_positions_are_dense(self, log: Log) -> None:
        """Positions count all facts from 1, over batches, without a hole."""
        first = [send(log) for _ in range(3)]
        log.commit()
        second = [send(log) for _ in range(2)]
        log.commit()
        assert [fact.position for fact in first + second] == [1, 2, 3, 4, 5]

    def test_versions_count_by_stream(self, log: Log, hive_db: Path) -> None:
        """Versions count the facts of one stream from 1, over batches and over a new start."""
        found = [(fact.stream, fact.version) for fact in (send(log), send(log, "reviewer"), send(log))]
        log.commit()
        log.close()
        again = Log(connect(hive_db))
        found += [(fact.stream, fact.version) for fact in (send(again, "reviewer"), send(again))]
        assert found == [
            ("inbox-coder", 1),
            ("inbox-reviewer", 1),
            ("inbox-coder", 2),
            ("inbox-reviewer", 2),
            ("inbox-coder", 3),
        ]

    def test_many_streams(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """Versions are right also when there are more streams than are kept in memory."""
        monkeypatch.setattr("hyperhive.events.interning._STREAMS_KEPT", 4)
        for expected in (1, 2, 3):
            assert {send(log, f"a{number}").version for number in range(10)} == {expected}
            if expected == 2:
                log.commit()

    def test_recorded_is_what_is_read(self, log: Log) -> None:
        """What `record` returns is what a reader finds after the commit, envelope and all."""
        root = log.record(SpawnRequested(agent="coder"), at=AT, actor=OPERATOR)
        caused = log.record(
            MessageSent(to="coder", sender="manager", body="grüß 🐝 \0 \u2028"),
            at=AT + 1,
            actor=actor_of_agent("manager"),
            cause=root.cause,
        )
        log.commit()
        assert log.read(1, 2) == [root, caused]
        assert root.envelope == (1, "agent-coder", 1, "SpawnRequested", AT, "operator", 1, None)
        assert caused.envelope == (2, "inbox-coder", 1, "MessageSent", AT + 1, "manager", 1, 1)

    def test_chain_goes_on(self, log: Log) -> None:
        """A fact that follows from another one belongs to the same chain."""
        send(log)
        caused = log.record(SpawnRequested(agent="x"), at=AT, actor=DAEMON, cause=Cause(causation=1, correlation=1))
        assert caused.cause == Cause(causation=2, correlation=1)

    def test_nothing_before_the_commit(self, log: Log, hive_db: Path) -> None:
        """A recorded fact is nowhere until it is committed."""
        send(log)
        assert list(read(read_only(hive_db))) == []
        log.commit()
        assert len(list(read(read_only(hive_db)))) == 1

    def test_forget(self, log: Log) -> None:
        """What was recorded and not committed can be dropped, and its places are given again."""
        kept = send(log)
        log.commit()
        head = log.head
        send(log)
        send(log, "reviewer")
        log.forget()
        assert log.head == head
        assert send(log).position == kept.position + 1
        assert send(log, "reviewer").version == 1

    def test_also_in_the_same_transaction(self, log: Log, hive_db: Path) -> None:
        """What else must be true is committed with the facts, or they are not, either."""

        def fail(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO projections VALUES ('agents', 1, 1)")
            connection.execute("INSERT INTO nowhere VALUES (1)")

        send(log)
        with pytest.raises(LogFailed, match="no such table: nowhere"):
            log.commit(fail)
        reader = read_only(hive_db)
        assert list(read(reader)) == []
        assert reader.execute("SELECT count(*) FROM projections").fetchone() == (0,)

    def test_no_transaction_stays_open(self, log: Log) -> None:
        """Whatever breaks a commit, also outside SQLite, nothing is left half done."""

        def fail(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO projections VALUES ('agents', 1, ?)", (2**70,))

        send(log)
        with pytest.raises(LogFailed, match="too large"):
            log.commit(fail)
        assert not log.connection.in_transaction

    def test_what_cannot_be_read_is_not_written(self, log: Log) -> None:
        """A fact that could not be read back is refused before it has a place."""
        with pytest.raises(BadData, match="TurnEnded that the log cannot keep"):
            log.record(TurnEnded(agent="coder", ok=True, cost_usd=float("inf")), at=AT, actor=DAEMON)
        assert log.head == Head()
        assert send(log).position == 1

    def test_durable_settings(self, log: Log, hive_db: Path) -> None:
        """The writer syncs at each commit, and nobody else on the host may read the file."""
        assert log.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert log.connection.execute("PRAGMA synchronous").fetchone() == (2,)
        send(log)
        log.commit()
        files = hive_db.parent.glob("hive.sqlite*")
        assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in files} == {
            "hive.sqlite": 0o600,
            "hive.sqlite-wal": 0o600,
            "hive.sqlite-shm": 0o600,
        }

    @pytest.mark.parametrize("name", ["a b", "100%41", "what?", "tag#1", "ü"])
    def test_any_path(self, migrated: Path, tmp_path: Path, name: str) -> None:
        """A data directory may have any name that the file system allows."""
        path = tmp_path / name / "hive.sqlite"
        path.parent.mkdir()
        path.write_bytes(migrated.read_bytes())
        log = Log(connect(path))
        send(log)
        log.commit()
        assert len(list(read(read_only(path)))) == 1


ROW = {
    "position": 4,
    "stream": 1,
    "version": 3,
    "type": 1,
    "at": AT,
    "actor": 2,
    "correlation": 0,
    "causation": None,
    "previous": 1,
    "data": "{}",
    "hash": bytes(32),
}
INSERT = f"INTO facts VALUES ({', '.join(f':{name}' for name in ROW)})"

SEGMENT = """INTO segments
VALUES (:first, :last, :before, coalesce(:head, (SELECT hash FROM facts WHERE position = 2)), 1, 'f', 1, '', NULL)"""
ARCHIVED = {"first": 1, "last": 2, "before": bytes(32), "head": None}

ATTACKS: dict[str, tuple[str, dict[str, Any]]] = {
    "update": ("UPDATE facts SET data = '{}' WHERE position = 2", {}),
    "update of all": ("UPDATE facts SET actor = 1", {}),
    "update of a key": ("UPDATE facts SET position = 9 WHERE position = 3", {}),
    "update or replace": ("UPDATE OR REPLACE facts SET position = 1 WHERE position = 3", {}),
    "delete": ("DELETE FROM facts WHERE position = 3", {}),
    "delete of all": ("DELETE FROM facts", {}),
    "replace a position": (f"REPLACE {INSERT}", {"position": 2, "version": 3}),
    "insert or replace a position": (f"INSERT OR REPLACE {INSERT}", {"position": 3}),
    "replace a version": (f"REPLACE {INSERT}", {"version": 2}),
    "insert or replace a version": (f"INSERT OR REPLACE {INSERT}", {"stream": 2, "version": 1}),
    "insert or ignore": (f"INSERT OR IGNORE {INSERT}", {"position": 2}),
    "upsert": (f"INSERT {INSERT} ON CONFLICT (position) DO UPDATE SET data = '[]'", {"position": 3}),
    "upsert of a version": (f"INSERT {INSERT} ON CONFLICT DO UPDATE SET data = '[]'", {"version": 2}),
    "hole in the positions": (f"INSERT {INSERT}", {"position": 5}),
    "hole in the versions": (f"INSERT {INSERT}", {"version": 4}),
    "position before the first": (f"INSERT {INSERT}", {"position": 0}),
    "negative position": (f"INSERT {INSERT}", {"position": -1}),
    "new stream at version 2": (f"INSERT {INSERT}", {"stream": 3, "version": 2}),
    "stream without a name": (f"INSERT {INSERT}", {"stream": 3, "version": 1, "previous": None}),
    "skipped in its stream": (f"INSERT {INSERT}", {"previous": 3}),
    "first of its stream once more": (f"INSERT {INSERT}", {"previous": None}),
    "no position": (f"INSERT {INSERT}", {"position": None}),
    "several rows": (
        "INSERT INTO facts SELECT position + 3, stream, version + 2, type, at, actor, 1, 1, 1, data, hash FROM facts",
        {},
    ),
    "version of a stream": ("UPDATE streams SET version = 7 WHERE id = 1", {}),
    "next version of a stream": ("UPDATE streams SET version = version + 1 WHERE id = 1", {}),
    "name of a stream": ("UPDATE streams SET name = 'inbox-other' WHERE id = 1", {}),
    "delete a stream": ("DELETE FROM streams WHERE id = 1", {}),
    "replace a stream": ("REPLACE INTO streams VALUES (1, 'inbox-other', 0, 0)", {}),
    "replace a stream's name": ("REPLACE INTO streams VALUES (9, 'inbox-coder', 0, 0)", {}),
    "stream with a past": ("INSERT INTO streams VALUES (9, 'inbox-other', 2, 3)", {}),
    "change a name": ("UPDATE names SET name = 'agent:coder'", {}),
    "delete a name": ("DELETE FROM names", {}),
    "replace a name": ("REPLACE INTO names VALUES (1, 'agent:coder')", {}),
    "give a name again": ("REPLACE INTO names VALUES (9, 'operator')", {}),
    "archive what is not the past": (f"INSERT {SEGMENT}", {"first": 2}),
    "archive nothing": (f"INSERT {SEGMENT}", {"last": 0}),
    "archive all": (f"INSERT {SEGMENT}", {"last": 3}),
    "archive another past": (f"INSERT {SEGMENT}", {"head": bytes(32)}),
    "archive what follows something else": (f"INSERT {SEGMENT}", {"before": bytes([1] * 32)}),
}


def everything(connection: sqlite3.Connection) -> list[list[Any]]:
    """Return all that the log consists of."""
    tables = ("events", "facts", "streams", "names", "segments")
    return [connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables]  # noqa: S608 - ours


class TestAppendOnly:
    """A second program on the file, which knows SQL and nothing of the log."""

    @pytest.mark.parametrize("recursive", ["ON", "OFF"])
    @pytest.mark.parametrize("attack", ATTACKS)
    def test_attack(self, hive_db: Path, attack: str, recursive: str) -> None:
        """No statement changes what is in the log, or leaves a hole in it."""
        log = filled(hive_db)
        before = everything(log.connection)
        intruder = sqlite3.connect(hive_db, isolation_level=None)
        intruder.execute(f"PRAGMA recursive_triggers = {recursive}")
        sql, changes = ATTACKS[attack]
        with pytest.raises(sqlite3.IntegrityError, match="the log is append-only"):
            intruder.execute(sql, ROW | ARCHIVED | changes)
        assert everything(log.connection) == before

    def test_the_same_row_is_no_attack(self, hive_db: Path) -> None:
        """The row that the attacks vary is itself in order, so that each of them is refused for its variation."""
        filled(hive_db).close()
        intruder = sqlite3.connect(hive_db, isolation_level=None)
        intruder.execute(f"INSERT {INSERT}", ROW)
        assert intruder.execute("SELECT max(position) FROM events").fetchone() == (4,)
        intruder.execute(f"INSERT {SEGMENT}", ARCHIVED)
        assert intruder.execute("SELECT max(last) FROM segments").fetchone() == (2,)

    @pytest.mark.parametrize(
        "sql", ["UPDATE events SET actor = 'x'", "DELETE FROM events", "INSERT INTO events SELECT * FROM events"]
    )
    def test_view(self, hive_db: Path, sql: str) -> None:
        """Nor can the log be written through the view that shows it in full."""
        log = filled(hive_db)
        with pytest.raises(sqlite3.OperationalError, match="cannot modify events because it is a view"):
            sqlite3.connect(hive_db).execute(sql)
        assert len(everything(log.connection)[0]) == 3

    @pytest.mark.parametrize("trigger", schema.TRIGGERS)
    def test_without_a_trigger(self, hive_db: Path, trigger: str) -> None:
        """A file that lacks one of its guards is not written to, and the refusal names it."""
        connection = connect(hive_db)
        connection.execute(f"DROP TRIGGER {trigger}")
        with pytest.raises(LogDamaged, match=f"append-only: {trigger}"):
            Log(connection)

    def test_disarmed_trigger(self, hive_db: Path) -> None:
        """A trigger of the right name that guards nothing does not count."""
        connection = connect(hive_db)
        connection.execute("DROP TRIGGER events_refuse_update")
        connection.execute("CREATE TRIGGER events_refuse_update BEFORE UPDATE ON facts BEGIN SELECT 1; END")
        with pytest.raises(LogDamaged, match="append-only: events_refuse_update"):
            Log(connection)


class TestRead:
    """Reading facts, and saying why one cannot be read."""

    def test_bounds(self, hive_db: Path) -> None:
        """After is excluded, until is included."""
        log = filled(hive_db)
        reader = read_only(hive_db)
        assert [fact.position for fact in read(reader, after=1)] == [2, 3]
        assert [fact.position for fact in read(reader, after=1, until=2)] == [2]
        assert [fact.position for fact in log.read(2, 3)] == [2, 3]
        assert log.read(3, 2) == []

    def test_reader_cannot_write(self, hive_db: Path) -> None:
        """A reader's connection is read-only."""
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            read_only(hive_db).execute("DELETE FROM projections")

    def test_unknown_type(self, hive_db: Path) -> None:
        """A type of a newer release stops the reading, and says where it is and which release can read it."""
        log = Log(connect(hive_db))
        log.record(HiveCreated(hive="h1"), at=AT, actor=DAEMON)
        log.record(DaemonStarted(release="7.8.9", runtime="process"), at=AT, actor=DAEMON)
        send(log)
        log.commit()
        log.adopt((4, "inbox-coder", 2, "AgentPromoted", AT, "operator", 4, None, "{}", bytes(32)))
        log.commit()
        reader = read(read_only(hive_db))
        assert [next(reader).position for _ in range(3)] == [1, 2, 3]
        with pytest.raises(LogDamaged, match=r"position 4 has .*AgentPromoted.*; release 7\.8\.9 wrote it and can"):
            next(reader)

    def test_bad_data(self, hive_db: Path) -> None:
        """Data that does not fit its type stops the reading with the position and the reason."""
        log = filled(hive_db)
        log.connection.execute(f"INSERT {INSERT}", ROW | {"data": '{"to":"coder","sender":7}'})
        with pytest.raises(LogDamaged, match=r"position 4: .*MessageSent.*sender"):
            log.read(1, 4)

    def test_release(self, hive_db: Path) -> None:
        """The release that wrote a position is that of the daemon which had started last."""
        log = Log(connect(hive_db))
        send(log)
        for release in ("1.0", "2.0"):
            log.record(DaemonStarted(release=release, runtime="process"), at=AT, actor=DAEMON)
            send(log)
        log.commit()
        assert [release_at(log.connection, position) for position in range(1, 6)] == [
            "unknown",
            *["1.0"] * 2,
            *["2.0"] * 2,
        ]
