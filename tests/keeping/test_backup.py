"""Backups: one moment of a hive, verified; and a hive that goes on from one."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hyperhive.commands.messages import SendMessage
from hyperhive.config import Directories
from hyperhive.daemon.alone import AnotherDaemon, alone
from hyperhive.events import chain
from hyperhive.events.agents import KillSucceeded
from hyperhive.events.anchor import head_of, read_anchors, write_anchor
from hyperhive.events.envelope import OPERATOR
from hyperhive.events.hive import HiveRestored
from hyperhive.keeping.backup import AgentsLive, Unusable, backup, restore
from hyperhive.keeping.staging import Unfoldable
from hyperhive.projections import database
from hyperhive.projections.identity import mark_of
from hyperhive.replay.verify import verify
from hyperhive.runtimes.marks import MARK, mark
from tests.commands.desk import Desk
from tests.events import tampering
from tests.replay.test_verify import lived


@pytest.fixture
def directories(tmp_path: Path) -> Directories:
    """Return an empty place."""
    return Directories(data=tmp_path / "data", run=tmp_path / "run")


@pytest.fixture
def taken(hive_db: Path, tmp_path: Path) -> Path:
    """Return a backup of a hive that has lived."""
    lived(hive_db).log.close()
    file = tmp_path / "taken.sqlite"
    backup(hive_db, file)
    return file


def facts(path: Path) -> list[tuple[object, ...]]:
    """Return the table of facts."""
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT * FROM events ORDER BY position").fetchall()


def files(directory: Path) -> set[str]:
    """Return what lies in a data directory, but for its lock."""
    return {path.name for path in directory.iterdir() if path.is_file()} - {"hive.lock"}


def tamper(path: Path) -> None:
    """Change a fact by hand."""
    tampering.tamper(path, "UPDATE events SET at = at + 1 WHERE position = 5")


class TestBackup:
    """Taking one."""

    def test_one_file(self, hive_db: Path, tmp_path: Path) -> None:
        """A backup is one file of its owner's alone, with facts and views, also what stood in the write-ahead log."""
        desk = lived(hive_db)
        file = tmp_path / "taken.sqlite"
        found = backup(hive_db, file)
        assert (found.count, found.head) == (desk.hive.position, desk.log.head.hash)
        assert facts(file) == facts(hive_db)
        assert verify(file).position == found.count
        assert file.stat().st_mode & 0o777 == 0o600
        assert {path.name for path in tmp_path.iterdir() if "taken" in path.name} == {"taken.sqlite"}

    def test_while_a_daemon_writes(self, hive_db: Path, tmp_path: Path) -> None:
        """With a daemon at work each backup is whole, of one moment, and holds nobody up."""
        desk = lived(hive_db)

        async def story() -> list[int]:
            counts = []
            for number in range(4):
                file = tmp_path / f"taken-{number}.sqlite"
                copying = asyncio.create_task(asyncio.to_thread(backup, hive_db, file))
                while not copying.done():
                    await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="operator", body="x" * 2_000))
                counts.append(copying.result().count)
                assert verify(file).position == counts[-1]
            return counts

        counts = asyncio.run(story())
        assert counts == sorted(set(counts))
        assert desk.failures == []

    def test_replaces_nothing(self, hive_db: Path, taken: Path) -> None:
        """A file that is there is left as it is."""
        before = taken.read_bytes()
        with pytest.raises(Unusable, match="is there already"):
            backup(hive_db, taken)
        assert taken.read_bytes() == before

    def test_broken(self, hive_db: Path, tmp_path: Path) -> None:
        """Of a log whose chain is broken there is no backup."""
        lived(hive_db).log.close()
        tamper(hive_db)
        with pytest.raises(chain.ChainBroken, match="position 5"):
            backup(hive_db, tmp_path / "taken.sqlite")
        assert not [path for path in tmp_path.iterdir() if "taken" in path.name]


class TestRestore:
    """Going on from one."""

    def test_new_epoch(self, taken: Path, directories: Directories) -> None:
        """The past is the backup's, one fact says where it goes on from, and log and views agree."""
        done = restore(taken, directories)
        assert done.aside is None
        assert files(directories.data) == {"hive.sqlite"}
        path = directories.hive_db
        assert facts(path)[:-1] == facts(taken)
        assert verify(path).position == done.position + 1 == chain.verify(path).count
        desk = Desk(path)
        (last,) = desk.log.read(done.position + 1, done.position + 1)
        assert last.event == HiveRestored(epoch=done.epoch, position=done.position, head=done.head)
        assert done.head == facts(taken)[-1][-1].hex()  # type: ignore[attr-defined] # bytes

    def test_two_continuations(self, taken: Path, tmp_path: Path) -> None:
        """Two hives that go on from one backup have the same past, other heads, and other marks on their processes."""
        heads, marked = set(), set()
        for name in ("a", "b"):
            where = Directories(data=tmp_path / name, run=tmp_path / f"run-{name}")
            restore(taken, where, clock=1_767_225_600_000_000)
            desk = Desk(where.hive_db)
            heads.add(desk.log.head.hash)
            marked.add(mark_of(desk.hive.identity))
        assert len(heads) == len(marked) == 2
        assert mark_of(Desk(taken).hive.identity) == "test"

    def test_what_was_there_is_kept(self, taken: Path, directories: Directories) -> None:
        """The database that is replaced stays beside the new one, with what a killed daemon left in its log."""
        restore(taken, directories)
        killed = Desk(directories.hive_db)
        asyncio.run(killed_amid(killed))
        assert directories.hive_db.with_name("hive.sqlite-wal").stat().st_size > 0
        done = restore(taken, directories)
        assert done.aside is not None
        assert chain.verify(done.aside).count == done.position + 2
        assert chain.verify(directories.hive_db).count == done.position + 1
        assert Desk(directories.hive_db).hive.position == done.position + 1

    def test_over_a_broken_one(self, taken: Path, directories: Directories) -> None:
        """A database that cannot be read any more is what one restores for; it is kept all the same."""
        directories.create_data()
        directories.hive_db.write_bytes(b"\x00" * 8_192)
        done = restore(taken, directories)
        assert done.aside is not None
        assert done.aside.read_bytes() == b"\x00" * 8_192
        assert verify(directories.hive_db).position == done.position + 1

    def test_an_anchor_of_what_is_lost(self, taken: Path, directories: Directories, tmp_path: Path) -> None:
        """An anchor that is younger than the backup shows that the log is another continuation."""
        restore(taken, directories)
        anchors = tmp_path / "anchors"
        write_anchor(anchors, head_of(directories.hive_db), at=1)
        restore(taken, directories)
        with pytest.raises(chain.AnchorMissed, match="goes on from a backup that is older"):
            chain.verify(directories.hive_db, read_anchors(anchors, hive="test"))


async def killed_amid(desk: Desk) -> None:
    """Write as a daemon does that is killed afterwards: the file stays open, and its log is not taken in."""
    await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="operator", body="last words"))


class TestRefused:
    """What is no backup, and when none may be taken up; the hive in place stays as it is."""

    @pytest.fixture
    def before(self, taken: Path, directories: Directories) -> bytes:
        """Put a hive into the place."""
        restore(taken, directories)
        return directories.hive_db.read_bytes()

    def test_broken(self, taken: Path, directories: Directories, before: bytes) -> None:
        """A backup in which a fact was changed is refused with its position."""
        tamper(taken)
        with pytest.raises(chain.ChainBroken, match="broken at position 5"):
            restore(taken, directories)
        assert directories.hive_db.read_bytes() == before
        assert not [name for name in files(directories.data) if "unfinished" in name or "before" in name]

    def test_cut_off(self, taken: Path, directories: Directories, before: bytes) -> None:
        """So is half of one."""
        taken.write_bytes(taken.read_bytes()[: taken.stat().st_size // 2])
        with pytest.raises(
            database.WrongRevision, match=r"taken.sqlite: the file was cut off: \d+ of its \d+ bytes are there"
        ):
            restore(taken, directories)
        assert directories.hive_db.read_bytes() == before

    def test_not_a_backup(self, tmp_path: Path, directories: Directories, before: bytes) -> None:
        """So is any other file, an empty one, and one of a newer release."""
        other = tmp_path / "other"
        other.write_text("my diary " * 1_000)
        with pytest.raises(database.WrongRevision, match="other is not a hive's database"):
            restore(other, directories)
        other.write_bytes(b"")
        with pytest.raises(Unusable, match="holds no hive"):
            restore(other, directories)
        assert directories.hive_db.read_bytes() == before

    def test_newer_release(self, taken: Path, directories: Directories, before: bytes) -> None:
        """A backup of a newer release is refused with what to do."""
        with sqlite3.connect(taken) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(database.WrongRevision, match=r"taken.sqlite is at revision 9999.*upgrade hyperhive"):
            restore(taken, directories)
        assert directories.hive_db.read_bytes() == before

    def test_facts_that_do_not_follow(self, hive_db: Path, tmp_path: Path, directories: Directories) -> None:
        """One whose facts cannot be folded is refused."""
        desk = Desk(hive_db)
        desk.log.record(KillSucceeded(agent="nobody"), at=1, actor=OPERATOR)
        desk.log.commit()
        backup(hive_db, tmp_path / "odd.sqlite")
        with pytest.raises(Unfoldable, match="do not follow from each other: KeyError"):
            restore(tmp_path / "odd.sqlite", directories)
        assert files(directories.data) == set()

    def test_daemon_runs(self, taken: Path, directories: Directories, before: bytes) -> None:
        """While a daemon has the directory nothing is replaced."""
        with alone(directories.lock_file, "--data-dir"), pytest.raises(AnotherDaemon):
            restore(taken, directories)
        assert directories.hive_db.read_bytes() == before

    def test_agents_run(self, taken: Path, directories: Directories, before: bytes) -> None:
        """While an agent of the hive in place runs nothing is replaced: it would be started a second time."""
        marked = mark(mark_of(Desk(directories.hive_db).hive.identity), "coder", 1)
        agent = subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()"],
            env={**os.environ, MARK: marked},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with agent:
            assert agent.stdout is not None
            agent.stdout.readline()
            with pytest.raises(AgentsLive, match=rf"are running: coder \(pid {agent.pid}\); kill them"):
                restore(taken, directories)
            agent.communicate(b"\n", timeout=60)
        assert restore(taken, directories).aside is not None
