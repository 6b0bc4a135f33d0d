"""Anchors: what the chain alone cannot show."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hyperhive.events import chain
from hyperhive.events.anchor import BadAnchor, head_of, hive_of, read_anchors, write_anchor
from hyperhive.events.envelope import DAEMON, OPERATOR
from hyperhive.events.hive import HiveCreated
from hyperhive.events.log import Log, connect
from hyperhive.events.messages import MessageSent
from tests.events.tampering import tamper

AT = 1_767_225_600_000_000


def write(path: Path, *bodies: str, hive: str = "one") -> None:
    """Append messages to a log, after its first fact."""
    log = Log(connect(path))
    if not log.head.position:
        log.record(HiveCreated(hive=hive), at=AT, actor=DAEMON)
    for body in bodies:
        log.record(MessageSent(to="operator", sender="coder", body=body), at=AT, actor=OPERATOR)
    log.commit()
    log.close()


def cut(path: Path, after: int) -> None:
    """Take facts from the end, as somebody would who knows how to take the guards away."""
    tamper(path, f"DELETE FROM events WHERE position > {after}")  # noqa: S608 - ours


def verify(path: Path, file: Path) -> chain.Verified:
    """Walk the chain, and compare it with a file of anchors."""
    return chain.verify(path, read_anchors(file, hive=hive_of(path)))


class TestAnchored:
    """A log that was anchored."""

    def test_whole(self, hive_db: Path, tmp_path: Path) -> None:
        """A log that only grew holds by each of its anchors; the file grows by a line, and is its owner's alone."""
        file = tmp_path / "anchors"
        for bodies in (("a", "b"), ("c",), ()):
            write(hive_db, *bodies)
            write_anchor(file, head_of(hive_db), at=AT)
        write(hive_db, "d")
        assert [anchor.position for anchor in read_anchors(file, hive="one")] == [3, 4, 4]
        assert verify(hive_db, file).count == 5
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_tail_cut_off(self, hive_db: Path, tmp_path: Path) -> None:
        """Facts taken from the end leave a chain that holds, and the anchor shows it."""
        file = tmp_path / "anchors"
        write(hive_db, "a", "b", "c")
        write_anchor(file, head_of(hive_db), at=AT)
        cut(hive_db, 2)
        assert chain.verify(hive_db).count == 2
        with pytest.raises(
            chain.AnchorMissed, match=r"anchors, line 1, .* position 4: the log ends at 2 now; its tail"
        ):
            verify(hive_db, file)

    def test_written_anew(self, hive_db: Path, tmp_path: Path) -> None:
        """Facts that were put in the place of those that were cut off make a chain that holds, and another one."""
        file = tmp_path / "anchors"
        write(hive_db, "a", "b")
        write_anchor(file, head_of(hive_db), at=AT)
        write(hive_db, "c")
        write_anchor(file, head_of(hive_db), at=AT)
        cut(hive_db, 3)
        write(hive_db, "other", "more")
        assert chain.verify(hive_db).count == 5
        with pytest.raises(chain.AnchorMissed, match=r"line 2, .* position 4: another fact stands there") as missed:
            verify(hive_db, file)
        assert missed.value.position == 4

    def test_empty(self, hive_db: Path) -> None:
        """A log without a fact has nothing to anchor."""
        with pytest.raises(BadAnchor, match="nothing to anchor"):
            head_of(hive_db)


GOOD = b'{"hive":"one","position":3,"hash":"' + b"ab" * 32 + b'","at":"2026-01-01T00:00:00Z"}\n'


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"dear diary\n", "line 1 is not an anchor"),
        (GOOD + GOOD[:-1], "line 2: the line does not end"),
        (GOOD + GOOD.replace(b"ab", b"AB", 1), "line 2 is not an anchor"),
        (GOOD + GOOD.replace(b":3,", b":0,"), "line 2 is not an anchor"),
        (GOOD + GOOD.replace(b'"one"', b'"two"'), "line 2 is of the hive two, and this is one"),
        (b"\xff\xfe\n", "line 1 is not an anchor"),
        (b"x" * 5_000, "line 1: the line does not end"),
    ],
    ids=["text", "cut off", "hash", "position", "another hive", "bytes", "long"],
)
def test_other_files(hive_db: Path, tmp_path: Path, content: bytes, match: str) -> None:
    """What is no file of this hive's anchors is named with its line, and nothing is added to it."""
    file = tmp_path / "anchors"
    file.write_bytes(content)
    write(hive_db, "a", "b")
    with pytest.raises(BadAnchor, match=match):
        read_anchors(file, hive="one")
    with pytest.raises(BadAnchor, match=match):
        write_anchor(file, head_of(hive_db), at=AT)
    assert file.read_bytes() == content
