"""The log as JSON Lines: what is read is what was written, and any other file is refused with its line."""

from __future__ import annotations

import io
import json
import random
import sqlite3
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyperhive.events import chain, exchange
from hyperhive.events.anchor import BadAnchor
from hyperhive.events.envelope import DAEMON, OPERATOR
from hyperhive.events.exchange import BadExport, BadRange, Reading, export
from hyperhive.events.hive import HiveCreated
from hyperhive.events.log import Log, connect
from hyperhive.events.messages import MessageSent, MessagesHandedOver
from hyperhive.events.redaction import redact
from tests.events.tampering import tamper

AT = 1_767_225_600_000_000


def write(path: Path, count: int) -> None:
    """Fill a log."""
    log = Log(connect(path))
    log.record(HiveCreated(hive="one"), at=AT, actor=DAEMON)
    for number in range(count - 1):
        if number % 3:
            log.record(MessageSent(to="coder", sender="operator", body=f"grüß {number} 🐝\n"), at=AT, actor=OPERATOR)
        else:
            log.record(MessagesHandedOver(to="coder", ids=(number,)), at=AT + number, actor=DAEMON)
    log.commit()
    log.close()


def events(path: Path) -> list[tuple[Any, ...]]:
    """Return the table of facts."""
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT * FROM events ORDER BY position").fetchall()


def exported(path: Path, **options: Any) -> bytes:
    """Return an export."""
    out = io.BytesIO()
    export(path, out.write, release="0.1.0", **options)
    return out.getvalue()


def read(content: bytes) -> list[exchange.Row]:
    """Read an export to its end."""
    return list(Reading(io.BytesIO(content)).rows())


class TestRoundTrip:
    """Out and in again."""

    def test_rows(self, hive_db: Path) -> None:
        """Every fact is read as it stands in the table, its hash included; each line is JSON for any other program."""
        write(hive_db, 40)
        content = exported(hive_db)
        assert read(content) == events(hive_db)
        lines = [json.loads(line) for line in content.splitlines()]
        assert [line["position"] for line in lines[1:-1]] == list(range(1, 41))
        assert lines[3]["data"] == {"to": "coder", "sender": "operator", "body": "grüß 1 🐝\n"}
        assert lines[-1]["count"] == 40
        assert lines[-1]["head"] == lines[-2]["hash"] == events(hive_db)[-1][-1].hex()

    @pytest.mark.parametrize(("first", "last"), [(1, 1), (1, 17), (17, 17), (17, 33), (40, 40), (30, None)])
    def test_part(self, hive_db: Path, first: int, last: int | None) -> None:
        """A part is checked from its first fact to its last, with the hash that came before."""
        write(hive_db, 40)
        assert read(exported(hive_db, first=first, last=last)) == events(hive_db)[first - 1 : last]

    @pytest.mark.parametrize(("first", "last"), [(0, 3), (41, None), (3, 41), (9, 8)])
    def test_no_such_part(self, hive_db: Path, first: int, last: int | None) -> None:
        """Positions that are not there are named with those that are, and nothing is written."""
        write(hive_db, 40)
        out = io.BytesIO()
        with pytest.raises(BadRange, match=rf"from {first} to {last or 40}; the log has 1 to 40"):
            export(hive_db, out.write, release="0.1.0", first=first, last=last)
        assert out.getvalue() == b""

    def test_empty(self, hive_db: Path) -> None:
        """A log without a fact is nothing to export."""
        with pytest.raises(BadAnchor):
            exported(hive_db)

    def test_while_a_daemon_writes(self, hive_db: Path) -> None:
        """What is appended meanwhile is not in it, and the writer is not held up."""
        write(hive_db, 1_200)
        log = Log(connect(hive_db))
        out = io.BytesIO()

        def put(line: bytes) -> None:
            out.write(line)
            log.record(MessageSent(to="operator", sender="coder", body="meanwhile"), at=AT, actor=DAEMON)
            log.commit()

        log.connection.execute("PRAGMA synchronous=OFF")
        export(hive_db, put, release="0.1.0")
        assert len(read(out.getvalue())) == 1_200
        log.close()

    def test_memory(self, hive_db: Path, tmp_path: Path) -> None:
        """Neither writing nor reading holds more than a page of the log."""
        write(hive_db, 20_000)
        file = tmp_path / "export"
        tracemalloc.start()
        try:
            with file.open("wb") as opened:
                export(hive_db, opened.write, release="0.1.0")
            with file.open("rb") as opened:
                assert sum(1 for _ in Reading(opened).rows()) == 20_000
            (_, most) = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert file.stat().st_size > 5_000_000
        assert most < 2_000_000


class TestRedacted:
    """An export without what was said."""

    def test_shape(self, hive_db: Path) -> None:
        """Envelope and times stay; no body does; the chain is its own, and each line says its hash in the log."""
        write(hive_db, 40)
        content = exported(hive_db, change=redact)
        assert b"gr" + "ü".encode() not in content
        rows, original = read(content), events(hive_db)
        assert [row[:8] for row in rows] == [row[:8] for row in original]
        lines = [json.loads(line) for line in content.splitlines()]
        assert lines[0]["redacted"] is True
        assert [line["original"] for line in lines[1:-1]] == [row[-1].hex() for row in original]
        assert lines[-1]["head"] != original[-1][-1].hex()

    def test_part(self, hive_db: Path) -> None:
        """A part begins a chain of its own."""
        write(hive_db, 40)
        content = exported(hive_db, change=redact, first=20)
        assert len(read(content)) == 21
        assert json.loads(content.splitlines()[0])["previous"] == "00" * 32


class TestBroken:
    """What is not a whole export."""

    def test_broken_log(self, hive_db: Path) -> None:
        """A log whose chain does not hold is not exported: there is no last line, and the reader says so."""
        write(hive_db, 40)
        tamper(hive_db, "UPDATE events SET data = replace(data, 'operator', 'manager') WHERE position = 21")
        out = io.BytesIO()
        with pytest.raises(chain.ChainBroken, match="broken at position 21"):
            export(hive_db, out.write, release="0.1.0")
        with pytest.raises(BadExport, match="line 22: the file ends here, and more should follow"):
            read(out.getvalue())

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            (lambda _: [], "line 1: it is not the beginning of an exported log"),
            (lambda lines: lines[1:], "line 1: it is not the beginning of an exported log"),
            (lambda _: [b"\xff\x00\n"], "line 1: it is not the beginning"),
            (
                lambda lines: [lines[0].replace(b'"format":1', b'"format":2'), *lines[1:]],
                "line 1: .* upgrade hyperhive",
            ),
            (lambda lines: [lines[0].replace(b'"first":1', b'"first":0'), *lines[1:]], "line 1: it does not say"),
            (lambda lines: lines[:5], "line 6: the file ends here"),
            (lambda lines: lines[:-1], "line 12: the file ends here"),
            (lambda lines: [*lines[:4], lines[4][:30]], "line 5: the file ends in the middle of it"),
            (lambda lines: [*lines[:4], *lines[5:]], r"line 5: \(position 4\) the next event in the file is 5"),
            (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], r"line 5: \(position 4\) the next event"),
            (
                lambda lines: [*lines[:5], lines[4], *lines[5:]],
                r"line 6: \(position 5\) the next event in the file is 4",
            ),
            (lambda lines: [*lines[:4], lines[4].replace(b"bee", b"wasp"), *lines[5:]], r"line 5: .*its hash does not"),
            (lambda lines: [*lines, lines[-1]], "line 13: there should be nothing after"),
            (
                lambda lines: [*lines[:-1], lines[-1].replace(b"count", b"counted")],
                "line 12: the last line does not fit",
            ),
            (lambda lines: [*lines[:4], b"{" * 100 + b"\n", *lines[5:]], r"line 5: \(position 4\) it is not a fact"),
        ],
    )
    def test_line(self, hive_db: Path, change: Callable[[list[bytes]], list[bytes]], match: str) -> None:
        """Whatever is missing, added, moved or changed is told with its line."""
        log = Log(connect(hive_db))
        log.record(HiveCreated(hive="one"), at=AT, actor=DAEMON)
        for _ in range(9):
            log.record(MessageSent(to="coder", sender="operator", body="a bee"), at=AT, actor=OPERATOR)
        log.commit()
        lines = exported(hive_db).splitlines(keepends=True)
        with pytest.raises(BadExport, match=match):
            read(b"".join(change(lines)))

    def test_long_line(self, hive_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A line without end is not read into memory."""
        write(hive_db, 3)
        content = exported(hive_db).splitlines(keepends=True)
        monkeypatch.setattr(exchange, "LONGEST_LINE", 1_000)
        with pytest.raises(BadExport, match="line 3: it is longer than any fact"):
            read(b"".join(content[:2]) + b"x" * 5_000)

    def test_newer_type(self, hive_db: Path) -> None:
        """A fact of a newer release is named, with its position and the release that can read it."""
        log = Log(connect(hive_db))
        log.record(HiveCreated(hive="one"), at=AT, actor=DAEMON)
        log.commit()
        head = log.head
        envelope = (2, "agent-coder", 1, "AgentPromoted", AT, "daemon", 2, None)
        log.adopt((*envelope, "{}", chain.link(head.hash, envelope, b"{}")))
        log.commit()
        with pytest.raises(BadExport, match=r"line 3: \(position 2\) .*AgentPromoted.*release 0\.1\.0 wrote"):
            read(exported(hive_db))

    def test_any_byte(self, hive_db: Path) -> None:
        """Whatever single bit of an export is flipped, it is refused: a thousand places, none unseen."""
        write(hive_db, 12)
        content = exported(hive_db)
        chance = random.Random(20_260_101)
        for _ in range(1_000):
            damaged = bytearray(content)
            at, bit = chance.randrange(len(content)), chance.randrange(8)
            damaged[at] ^= 1 << bit
            try:
                read(bytes(damaged))
            except BadExport:
                continue
            pytest.fail(f"bit {bit} of byte {at} was not seen")
