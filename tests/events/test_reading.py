"""Reading the log as it lies in the file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.events.agents import KillRequested, SpawnRequested
from hyperhive.events.envelope import DAEMON, Cause
from hyperhive.events.log import Log, connect, read_only
from hyperhive.events.messages import MessageSent
from hyperhive.events.reading import PAGE, Selection, Unreadable, follow, position_before, select
from tests.events.tampering import tamper

AT = 1_767_225_600_000_000


@pytest.fixture
def log(hive_db: Path) -> Iterator[Log]:
    """A log with four facts, of which the last follows from the first."""
    log = Log(connect(hive_db))
    log.record(SpawnRequested(agent="coder"), at=AT, actor=DAEMON)
    log.record(SpawnRequested(agent="abel"), at=AT + 1, actor=DAEMON)
    log.record(MessageSent(to="coder", sender="operator", body="grüße"), at=AT + 2, actor="operator")
    log.record(KillRequested(agent="coder"), at=AT + 3, actor="operator", cause=Cause(1, 1))
    log.commit()
    yield log
    log.close()


def positions(path: Path, selection: Selection, limit: int | None = None) -> list[int]:
    """Return where the selected facts stand."""
    connection = read_only(path)
    try:
        return [fact["position"] for fact in select(connection, selection, limit=limit)]
    finally:
        connection.close()


class TestSelect:
    """Some facts of many."""

    def test_all_of_a_fact(self, hive_db: Path, log: Log) -> None:
        """A fact is shown whole: envelope, data, hash."""
        connection = read_only(hive_db)
        *_, last = select(connection, Selection())
        connection.close()
        assert last == {
            "position": 4,
            "stream": "agent-coder",
            "version": 2,
            "type": "KillRequested",
            "at": "2026-01-01T00:00:00.000003Z",
            "actor": "operator",
            "correlation": 1,
            "causation": 1,
            "data": {"agent": "coder", "graceful": True},
            "hash": log.head.hash.hex(),
        }

    @pytest.mark.parametrize(
        ("selection", "limit", "found"),
        [
            (Selection(), None, [1, 2, 3, 4]),
            (Selection(), 2, [3, 4]),
            (Selection(after=2), None, [3, 4]),
            (Selection(stream="agent-coder"), None, [1, 4]),
            (Selection(stream="agent-*"), None, [1, 2, 4]),
            (Selection(stream="agent"), None, []),
            (Selection(types=("SpawnRequested", "MessageSent")), None, [1, 2, 3]),
            (Selection(stream="agent-*", types=("SpawnRequested",), after=1), 1, [2]),
        ],
    )
    def test_selection(
        self, hive_db: Path, log: Log, selection: Selection, limit: int | None, found: list[int]
    ) -> None:
        """By stream, category, type and position; a limit keeps the newest, and the oldest of them comes first."""
        assert positions(hive_db, selection, limit) == found

    def test_many(self, hive_db: Path, log: Log) -> None:
        """However many there are, each comes once; meanwhile nothing is held that the writer would wait for."""
        for number in range(2 * PAGE):
            log.record(MessageSent(to="coder", sender="operator", body=str(number)), at=AT, actor="operator")
        log.commit()
        connection = read_only(hive_db)
        facts = select(connection, Selection())
        assert next(facts)["position"] == 1
        busy, *_ = log.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert busy == 0
        assert [fact["position"] for fact in facts] == list(range(2, 2 * PAGE + 5))
        connection.close()

    def test_not_json(self, hive_db: Path, log: Log) -> None:
        """A fact that is damaged is named by its position."""
        log.close()
        tamper(hive_db, "UPDATE events SET data = '{' WHERE position = 3")
        with pytest.raises(Unreadable, match="the data at position 3 is not JSON"):
            positions(hive_db, Selection())


class TestFollow:
    """Facts as they come."""

    def test_follows(self, hive_db: Path, log: Log) -> None:
        """What is appended while somebody follows comes once, in its order, where it is selected."""
        found: list[int] = []

        def read() -> None:
            connection = read_only(hive_db)
            for fact in follow(connection, Selection(stream="agent-*", after=1)):
                found.append(fact["position"])
                if len(found) == 4:
                    break
            connection.close()

        reading = threading.Thread(target=read)
        reading.start()
        for number in range(2):
            log.record(MessageSent(to="coder", sender="operator", body=str(number)), at=AT, actor="operator")
            log.record(SpawnRequested(agent=f"a{number}"), at=AT, actor="operator")
            log.commit()
        reading.join(timeout=20)
        assert found == [2, 4, 6, 8]


@pytest.mark.parametrize(("at", "position"), [(0, 0), (10, 0), (11, 2), (20, 2), (21, 3), (30, 3), (31, 4), (99, 4)])
def test_position_before(hive_db: Path, at: int, position: int) -> None:
    """The last position from before a moment is found, also where several facts are of one moment."""
    log = Log(connect(hive_db))
    for written in (10, 10, 20, 30):
        log.record(MessageSent(to="operator", sender="coder", body="x"), at=written, actor=DAEMON)
    log.commit()
    assert position_before(log.connection, at) == position


def test_position_before_in_an_empty_log(hive_db: Path) -> None:
    """Where nothing was written nothing is before."""
    assert position_before(connect(hive_db), 5) == 0
