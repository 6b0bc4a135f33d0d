"""A file that the release before wrote, with rows of events: it becomes one of facts, and says the same."""

from __future__ import annotations

import lzma
import sqlite3
from pathlib import Path

import pytest

from hyperhive.events import chain
from hyperhive.events.envelope import OPERATOR
from hyperhive.events.exchange import export
from hyperhive.events.log import Log, connect
from hyperhive.events.messages import MessageSent
from hyperhive.projections import database
from hyperhive.replay.verify import verify

GOLDEN = Path(__file__).parents[1] / "golden"
COLUMNS = "position, stream, version, type, at, actor, correlation, causation, data, hash"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return the file as that release left it, of the hive of a golden log."""
    path = tmp_path / "hive.sqlite"
    path.write_bytes(lzma.decompress((GOLDEN / "0007.sqlite.xz").read_bytes()))
    assert database.current_revision(path) == "0007"
    return path


def rows(path: Path) -> list[tuple[object, ...]]:
    """Return every fact in full, from the table or the view."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"SELECT {COLUMNS} FROM events ORDER BY position").fetchall()  # noqa: S608 - ours
    finally:
        connection.close()


def test_same_facts(old: Path) -> None:
    """Each fact is what it was, hash included; chain, views and export are those that it had."""
    before = rows(old)
    database.upgrade(old)
    assert rows(old) == before
    assert chain.verify(old).count == len(before)
    database.open_hive(old)[0].close()  # folds anew what today's folds see otherwise
    assert verify(old).position == len(before)
    lines: list[bytes] = []
    export(old, lines.append, release="0")
    assert lines[1:-1] == (GOLDEN / "0.1.0.jsonl").read_bytes().splitlines(keepends=True)[1:-1]


def test_goes_on(old: Path) -> None:
    """What is appended follows on it, in its stream and in the chain."""
    before = rows(old)
    database.upgrade(old)
    log = Log(connect(old))
    streams = {str(row[1]): row[2] for row in before}
    sent = log.record(MessageSent(to="coder", sender="operator", body="hi"), at=1, actor=OPERATOR)
    log.commit()
    log.close()
    assert (sent.position, sent.version) == (len(before) + 1, int(str(streams["inbox-coder"])) + 1)
    assert chain.verify(old).count == len(before) + 1


def test_damaged(old: Path) -> None:
    """A fact that was damaged before is as damaged afterwards, at its own position, and the others are whole."""
    connection = sqlite3.connect(old)
    trigger = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'events_refuse_update'").fetchone()[0]
    connection.execute("DROP TRIGGER events_refuse_update")
    connection.execute("UPDATE events SET actor = 'nobody' WHERE position = 9")
    connection.execute(trigger)
    connection.commit()
    connection.close()
    database.upgrade(old)
    with pytest.raises(chain.ChainBroken, match="broken at position 9: its hash does not follow"):
        chain.verify(old)
