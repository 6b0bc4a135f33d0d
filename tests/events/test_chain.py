"""The chain: no change to the log goes unseen."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from hyperhive.events import chain
from hyperhive.events.envelope import DAEMON, OPERATOR, actor_of_agent
from hyperhive.events.hive import HiveCreated
from hyperhive.events.log import Log, connect
from hyperhive.events.messages import MessageSent, MessagesHandedOver
from tests.events.tampering import tamper

AT = 1_767_225_600_000_000
COUNT = 40
GOLDEN = "a284537fa63ab2f4d533ce17f10ef3b511c48540694717323f18d12162efde2f"


def write(path: Path) -> Log:
    """Fill a log with the same facts each time."""
    log = Log(connect(path))
    log.record(HiveCreated(hive="golden"), at=AT, actor=DAEMON)
    for number in range(1, COUNT // 2):
        sent = log.record(
            MessageSent(to="coder", sender="operator", body=f"grüß dich {number} " + "🐝" * number),
            at=AT + number,
            actor=OPERATOR,
        )
        log.record(
            MessagesHandedOver(to="coder", ids=(sent.position,)),
            at=AT + number,
            actor=actor_of_agent("coder"),
            cause=sent.cause,
        )
    log.record(MessageSent(to="reviewer", sender="coder", body="done"), at=AT, actor=actor_of_agent("coder"))
    log.commit()
    return log


@pytest.fixture
def whole(hive_db: Path) -> Path:
    """Return the path of a closed log: one file, with nothing left in a write-ahead log."""
    write(hive_db).close()
    return hive_db


class TestHash:
    """What a fact's hash is made of."""

    def test_definition(self) -> None:
        """A hash is SHA-256 of the hash before, the envelope as a JSON array, a newline and the data."""
        envelope = (2, "inbox-coder", 1, "MessageSent", AT, "agent:é", 1, None)
        text = '[2,"inbox-coder",1,"MessageSent",1767225600000000,"agent:é",1,null]\n{"to":"coder"}'
        expected = sha256(b"p" * 32 + text.encode()).digest()
        assert chain.link(b"p" * 32, envelope, b'{"to":"coder"}') == expected

    def test_golden(self) -> None:
        """A chain has the same hashes in every release, or none could verify another's log."""
        head = chain.GENESIS
        for position in range(1, 4):
            envelope = (position, "inbox-coder", position, "MessageSent", AT, "operator", position, None)
            head = chain.link(head, envelope, b'{"body":"hi","sender":"operator","to":"coder"}')
        assert head.hex() == GOLDEN


SWAP = """
    UPDATE events
    SET (data, hash) = (SELECT data, hash FROM events AS other WHERE other.position = 51 - events.position)
    WHERE position IN (25, 26)
"""
REST = "type, at, actor, correlation, causation, data, hash FROM events"


class TestVerify:
    """Walking the chain."""

    def test_empty(self, hive_db: Path) -> None:
        """A log without a fact is whole."""
        assert chain.verify(hive_db) == chain.Verified(count=0, head=chain.GENESIS)

    def test_while_a_daemon_writes(self, hive_db: Path) -> None:
        """Also what stands in the write-ahead log alone is verified, and the writer is not disturbed."""
        log = write(hive_db)
        assert chain.verify(hive_db).head == log.head.hash
        log.record(HiveCreated(hive="x"), at=AT, actor=DAEMON)
        log.commit()
        assert chain.verify(hive_db).count == COUNT + 1

    @pytest.mark.parametrize(
        ("sql", "position"),
        [
            ("UPDATE events SET data = replace(data, 'grüß', 'gruß') WHERE position = 10", 10),
            ("UPDATE events SET data = data || ' ' WHERE position = 11", 11),
            ("UPDATE events SET actor = 'daemon' WHERE position = 12", 12),
            ("UPDATE events SET at = at + 1 WHERE position = 13", 13),
            ("UPDATE events SET type = 'MessageRequeued' WHERE position = 14", 14),
            ("UPDATE events SET stream = 'inbox-other' WHERE position = 40", 40),
            ("UPDATE events SET version = 2 WHERE position = 40", 40),
            ("UPDATE events SET correlation = 1 WHERE position = 16", 16),
            ("UPDATE events SET causation = 1 WHERE position = 17", 17),
            ("UPDATE events SET causation = NULL WHERE position = 17", 17),
            ("UPDATE events SET hash = zeroblob(32) WHERE position = 18", 18),
            ("UPDATE events SET hash = NULL WHERE position = 18", None),
            ("UPDATE events SET data = CAST(data AS BLOB) WHERE position = 19", 19),
            ("UPDATE events SET stream = CAST(stream AS BLOB) WHERE position = 20", 20),
            ("UPDATE events SET hash = CAST(hash AS TEXT) WHERE position = 21", 21),
            ("UPDATE events SET actor = CAST(x'ff' AS TEXT) WHERE position = 22", 22),
            ("DELETE FROM events WHERE position = 1", 1),
            ("DELETE FROM events WHERE position = 23", 23),
            ("DELETE FROM events WHERE position BETWEEN 24 AND 39", 24),
            (SWAP, 25),
            ("UPDATE events SET position = 41 WHERE position = 30", 30),
            (f"INSERT INTO events SELECT 41, stream, 2, {REST} WHERE position = 40", 41),
            (f"INSERT INTO events SELECT 42, stream, 2, {REST} WHERE position = 40", 41),
        ],
    )
    def test_tampering(self, whole: Path, sql: str, position: int | None) -> None:
        """Whatever is changed, swapped, removed from the middle or added is found at its own position."""
        if position is None:
            with pytest.raises(sqlite3.IntegrityError):
                tamper(whole, sql)
            return
        tamper(whole, sql)
        with pytest.raises(chain.ChainBroken, match=f"broken at position {position}: ") as broken:
            chain.verify(whole)
        assert broken.value.position == position

    def test_last_facts_removed(self, whole: Path) -> None:
        """A weakness: facts taken from the end leave a shorter chain that holds. A head kept elsewhere shows it."""
        kept_elsewhere = chain.verify(whole).head
        tamper(whole, "DELETE FROM events WHERE position > 35")
        shorter = chain.verify(whole)
        assert shorter.count == 35
        assert shorter.head != kept_elsewhere

    def test_not_a_database(self, tmp_path: Path) -> None:
        """A file that is no database is broken from its first fact on."""
        path = tmp_path / "hive.sqlite"
        path.write_bytes(b"x" * 8192)
        with pytest.raises(chain.ChainBroken, match=r"position 1: SQLite cannot read it: file is not a database"):
            chain.verify(path)


def content(path: Path) -> object:
    """Return all that a plain reader finds in the log, with its types, or None where it finds nothing readable."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.text_factory = lambda raw: ("text", raw)
    try:
        return connection.execute("SELECT * FROM events ORDER BY position").fetchall()
    except (sqlite3.Error, UnicodeDecodeError):  # the latter of an error that quotes damaged bytes
        return None
    finally:
        connection.close()


def damages(size: int) -> list[tuple[str, Callable[[bytearray], None]]]:
    """Return what a bad disk or a bad person may do to one place of a file, at places chosen once for all."""
    chance = random.Random(20_260_101)

    def flip(at: int, bit: int) -> Callable[[bytearray], None]:
        def change(data: bytearray) -> None:
            data[at] ^= 1 << bit

        return change

    def overwrite(at: int, value: int) -> Callable[[bytearray], None]:
        def change(data: bytearray) -> None:
            data[at] = value

        return change

    places = [(chance.randrange(size), chance.randrange(8), chance.randrange(256)) for _ in range(400)]
    flips = [(f"bit {bit} of byte {at}", flip(at, bit)) for at, bit, _ in places]
    return flips + [(f"byte {at} = {value}", overwrite(at, value)) for at, _, value in places]


def test_no_damage_goes_unseen(whole: Path, tmp_path: Path) -> None:
    """Whatever single byte of the file changes: every reader still reads just what was written, or it is found."""
    original = whole.read_bytes()
    before = content(whole)
    damaged = tmp_path / "damaged.sqlite"
    found = unseen = harmless = 0
    for name, change in damages(len(original)):
        data = bytearray(original)
        change(data)
        damaged.write_bytes(data)
        same = content(damaged) == before
        try:
            chain.verify(damaged)
        except chain.ChainBroken:
            found += 1
        else:
            harmless += same
            unseen += not same
            assert same, f"{name} changed what is read, and the chain holds all the same"
    assert unseen == 0
    assert found > 40, "the damages should hit facts"
    assert harmless > 50, "and also places that hold none"
