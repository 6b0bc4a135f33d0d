"""Checkpoints: any position is the nearest one and what came after it, and none that is wrong is ever read."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperhive.events.hive import HiveFrozen, HiveThawed
from hyperhive.replay import fingerprint, store
from hyperhive.replay.past import NotThere, Past
from hyperhive.replay.showing import show
from hyperhive.replay.snapshot import BadSnapshot, pack, unpack
from hyperhive.replay.store import beside, open_store
from tests.projections.histories import Step, batches
from tests.replay.stories import BLOCK, Writer, folded, lived, opened, story


def states(path: Path) -> int:
    """Count the checkpoints in the file beside a log."""
    with sqlite3.connect(beside(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM blocks WHERE state IS NOT NULL").fetchone()[0])


class TestAnyPosition:
    """A checkpoint and its tail against a fold from the beginning."""

    @settings(max_examples=40, deadline=None)
    @given(history=batches, chances=st.lists(st.floats(0, 1), min_size=1, max_size=6))
    def test_is_what_the_log_folds_to(self, migrated: Path, history: list[list[Step]], chances: list[float]) -> None:
        """Whatever has happened, and in whatever order one looks: the same hive, with its mail in the same order."""
        with tempfile.TemporaryDirectory() as place:
            path = Path(shutil.copy(migrated, Path(place) / "hive.sqlite"))
            head = lived(path, history)
            with opened(path) as past:
                for position in [head, *(round(chance * head) for chance in chances), 0]:
                    expected, found = folded(path, position), past.hive(position)
                    assert {name: list(rows.items()) for name, rows in found.rows.items()} == {
                        name: list(rows.items()) for name, rows in expected.rows.items()
                    }
                    assert past.state(position) == show(expected, past.time_of(position))
            with opened(path) as again:  # from the file this time
                assert again.hive(head).rows == folded(path, head).rows
                assert len(again.ends()) == head // BLOCK

    def test_goes_on_while_the_log_does(self, hive_db: Path) -> None:
        """What is appended after it was opened is there at the next look."""
        story(hive_db)
        with opened(hive_db) as past:
            head = past.head
            writer = Writer(hive_db)
            for _ in range(2 * BLOCK):
                writer.write(HiveFrozen())
            assert past.head == head + 2 * BLOCK
            assert past.hive(past.head).rows == writer.hive.rows
            writer.close()

    def test_beyond_the_end(self, hive_db: Path) -> None:
        """A position that is not there is refused with what is."""
        head = story(hive_db)["head"]
        with opened(hive_db) as past, pytest.raises(NotThere, match=f"no position {head + 1}; the log has 0 to {head}"):
            past.state(head + 1)

    def test_large_hive_gets_fewer(self, hive_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A checkpoint that is large for what happened since the last one waits, and the states are the same."""
        monkeypatch.setattr(store, "BYTES_PER_FACT", 40)
        head = story(hive_db)["head"]
        with opened(hive_db) as past:
            past.keep(head)
            assert 1 <= len(past.ends()) < head // BLOCK
            assert past.hive(head).rows == folded(hive_db, head).rows


class TestWrongOnes:
    """Checkpoints that are not what the log folds to."""

    def test_damaged(self, hive_db: Path) -> None:
        """One with a flipped byte is passed over."""
        head = story(hive_db)["head"]
        with opened(hive_db) as past:
            past.keep(head)
        with sqlite3.connect(beside(hive_db)) as connection:
            rows = connection.execute("SELECT position, state FROM blocks WHERE state IS NOT NULL").fetchall()
            for position, state in rows:
                flipped = bytearray(state)
                flipped[len(flipped) // 2] ^= 1
                connection.execute("UPDATE blocks SET state = ? WHERE position = ?", (bytes(flipped), position))
        with opened(hive_db) as past:
            assert past.hive(head).rows == folded(hive_db, head).rows

    def test_of_another_fold(self, hive_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """After a fold has changed, nothing that the former one made is read: the file is made anew."""
        head = story(hive_db)["head"]
        with opened(hive_db) as past:
            past.keep(head)
        assert states(hive_db)
        monkeypatch.setattr(store, "fingerprint", lambda: "another")
        with opened(hive_db) as past:
            assert past.ends() == []
            assert past.hive(head).rows == folded(hive_db, head).rows

    def test_changed_while_open(self, hive_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where a program of another release takes the file over, nothing of it is mixed with what is here."""
        head = story(hive_db)["head"]
        with opened(hive_db) as past:
            past.keep(BLOCK)
            monkeypatch.setattr(store, "fingerprint", lambda: "another")
            open_store(hive_db, block=BLOCK).close()
            monkeypatch.undo()
            assert past.hive(head).rows == folded(hive_db, head).rows

    def test_of_another_log(self, hive_db: Path, tmp_path: Path) -> None:
        """A log that went on otherwise from a backup keeps what is before the backup, and nothing after it."""
        head = story(hive_db)["head"]
        backup = Path(shutil.copy(hive_db, tmp_path / "backup.sqlite"))
        for path, frozen in ((hive_db, True), (backup, False)):
            writer = Writer(path)
            for number in range(3 * BLOCK):
                writer.write(HiveFrozen() if frozen == (number % 2 == 0) else HiveThawed())
            writer.close()
        with opened(hive_db) as past:
            past.keep(past.head)
        shutil.copy(beside(hive_db), beside(backup))
        with opened(backup) as past:
            assert past.ends() == list(range(BLOCK, head + 1, BLOCK))
            assert past.hive(past.head).rows == folded(backup, past.head).rows

    def test_not_a_file_of_checkpoints(self, hive_db: Path) -> None:
        """Some rubbish in its place is replaced."""
        head = story(hive_db)["head"]
        beside(hive_db).write_bytes(b"dear diary " * 1_000)
        with opened(hive_db) as past:
            assert past.kept
            assert past.hive(head).rows == folded(hive_db, head).rows

    def test_link(self, hive_db: Path, tmp_path: Path) -> None:
        """A link in its place is not followed: what it points to stays as it is, and it all goes on in memory."""
        head = story(hive_db)["head"]
        (tmp_path / "victim").write_text("precious")
        beside(hive_db).symlink_to(tmp_path / "victim")
        with opened(hive_db) as past:
            assert not past.kept
            assert past.hive(head).rows == folded(hive_db, head).rows
        assert (tmp_path / "victim").read_text() == "precious"

    def test_snapshot_of_something_else(self, hive_db: Path) -> None:
        """Bytes that are none are said to be so."""
        story(hive_db)
        with pytest.raises(BadSnapshot, match="the checkpoint at 3 cannot be read"):
            unpack(3, pack(folded(hive_db, 9))[:-9])


class TestFile:
    """The file beside the log."""

    def test_is_its_owners_alone(self, hive_db: Path) -> None:
        """It holds what the log holds, so it is as private."""
        story(hive_db)
        with opened(hive_db) as past:
            past.keep(past.head)
        assert beside(hive_db).stat().st_mode & 0o777 == 0o600

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file somebody else's")
    def test_belongs_to_the_logs_owner(self, hive_db: Path) -> None:
        """Made by root, it belongs to whoever has the log: the daemon goes on writing it."""
        story(hive_db)
        os.chown(hive_db, 1234, 1234)
        open_store(hive_db).close()
        assert beside(hive_db).stat().st_uid == 1234

    def test_nothing_is_written_to_the_log(self, hive_db: Path) -> None:
        """The log's file is as it was, to the byte."""
        story(hive_db)
        before = hive_db.read_bytes()
        with opened(hive_db) as past:
            past.why(str(past.head))
            past.diff(0, past.head)
        assert hive_db.read_bytes() == before

    def test_written_by_two(self, hive_db: Path) -> None:
        """Two who keep the same block at once both go on, and it is there once."""
        head = story(hive_db)["head"]
        with opened(hive_db) as one, opened(hive_db) as other:
            one.keep(BLOCK)
            other.keep(head)
            one.keep(head)
            assert one.ends() == other.ends() == list(range(BLOCK, head + 1, BLOCK))


def test_fingerprint_covers_every_fold() -> None:
    """It is of the sources that folds go through, and the same at each call."""
    sources = {path.name for path in fingerprint._sources()}
    assert {"agents.py", "messages.py", "codec.py", "snapshot.py", "wire.py", "hive.py"} <= sources
    assert fingerprint.fingerprint() == fingerprint.fingerprint()


def test_past_is_closed(hive_db: Path) -> None:
    """Leaving it closes its files."""
    story(hive_db)
    with Past(hive_db) as past:
        pass
    with pytest.raises(Exception, match="closed"):
        past.state(1)
