"""Backup, restore, import and views of a hive whose past is archived."""

from __future__ import annotations

import io
import shutil
import sqlite3
from pathlib import Path

import pytest

from hyperhive.config import Directories
from hyperhive.daemon.alone import AnotherDaemon, alone
from hyperhive.events import chain, segment
from hyperhive.events.chain import ChainBroken
from hyperhive.events.damage import SegmentLost
from hyperhive.events.exchange import export
from hyperhive.events.log import read, read_only
from hyperhive.keeping.archiving import archive
from hyperhive.keeping.backup import backup, restore
from hyperhive.keeping.importing import import_log
from hyperhive.projections import database, mirror, views
from hyperhive.replay.verify import verify
from tests.commands.desk import Desk
from tests.events.archived import small, write
from tests.replay.test_verify import lived

pytestmark = pytest.mark.usefixtures("small")
__all__ = ["small"]


@pytest.fixture
def directories(tmp_path: Path, migrated: Path) -> Directories:
    """Return a hive that has lived, all but its newest fact archived."""
    found = Directories(data=tmp_path / "data", run=tmp_path / "run")
    found.create_data()
    shutil.copy(migrated, found.hive_db)
    lived(found.hive_db).log.close()
    assert len(list(archive(found, 10_000))) == 2
    return found


def elsewhere(directories: Directories) -> Directories:
    """Return another, empty place."""
    return Directories(data=directories.data.parent / "other", run=directories.run)


def exported(path: Path) -> bytes:
    """Return an export."""
    out = io.BytesIO()
    export(path, out.write, release="0")
    return out.getvalue()


def test_start(directories: Directories) -> None:
    """A start reads no segment: it works, and goes on, also where all of them are gone."""
    shutil.rmtree(directories.data / "segments")
    desk = Desk(directories.hive_db)
    assert desk.hive.agents["coder"].name == "coder"
    desk.log.close()


def test_views_and_fold(directories: Directories) -> None:
    """The views follow from the archived past as from any other: compared, folded anew, and as they were."""
    log, hive = database.open_hive(directories.hive_db)
    assert verify(directories.hive_db).position == hive.position
    assert views.state(mirror.rebuild(log.connection)) == views.state(hive)
    log.close()


def test_backup(directories: Directories) -> None:
    """A backup is one file that carries the segments; restored anywhere, they lie beside the database again."""
    file = directories.data.parent / "taken.sqlite"
    found = backup(directories.hive_db, file)
    before, segments = exported(directories.hive_db), sorted((directories.data / "segments").iterdir())
    assert exported(file) == before
    other = elsewhere(directories)
    done = restore(file, other)
    assert done.position == found.count
    assert exported(other.hive_db).splitlines()[1 : found.count + 1] == before.splitlines()[1:-1]
    assert [path.read_bytes() for path in sorted((other.data / "segments").iterdir())] == [
        path.read_bytes() for path in segments
    ]
    assert verify(other.hive_db).position == found.count + 1
    with sqlite3.connect(other.hive_db) as connection:
        assert connection.execute("SELECT count(content) FROM segments").fetchone() == (0,)


def test_restored_in_place(directories: Directories) -> None:
    """Over the hive itself: what was there stays readable beside it, with the same segments."""
    file = directories.data.parent / "taken.sqlite"
    backup(directories.hive_db, file)
    desk = Desk(directories.hive_db)
    desk.log.close()
    done = restore(file, directories)
    assert done.aside is not None
    assert chain.verify(done.aside).count == done.position
    assert chain.verify(directories.hive_db).count == done.position + 1


def test_backup_without_a_segment(directories: Directories) -> None:
    """Where a segment is missing there is no backup, and none is restored from a file without it."""
    copied = directories.data.parent / "copied.sqlite"
    with sqlite3.connect(directories.hive_db) as connection, sqlite3.connect(copied) as copy:
        connection.backup(copy)
    lost = sorted((directories.data / "segments").iterdir())[1]
    lost.unlink()
    for refused in (
        lambda: backup(directories.hive_db, directories.data.parent / "taken"),
        lambda: restore(copied, elsewhere(directories)),
    ):
        with pytest.raises((SegmentLost, ChainBroken), match="is not there"):
            refused()
    assert not elsewhere(directories).hive_db.exists()


def test_damaged_backup(directories: Directories) -> None:
    """A backup whose segment is damaged is not restored."""
    file = directories.data.parent / "taken.sqlite"
    backup(directories.hive_db, file)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE segments SET content = substr(content, 1, length(content) - 9) WHERE first = 1")
    with pytest.raises((SegmentLost, ChainBroken), match="position"):
        restore(file, elsewhere(directories))
    assert not elsewhere(directories).hive_db.exists()


def test_import(directories: Directories) -> None:
    """An export of it becomes a hive of the same bytes, with all facts in its database."""
    other = elsewhere(directories)
    before = exported(directories.hive_db)
    import_log(io.BytesIO(before), other)
    assert exported(other.hive_db) == before
    assert not (other.data / "segments").exists()
    assert views.state(database.open_hive(other.hive_db)[1]) == views.state(database.open_hive(directories.hive_db)[1])


def test_gives_room_back(directories: Directories, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a daemon the file becomes smaller by what has left it."""
    monkeypatch.setattr(segment, "FACTS", 20_000)
    other = elsewhere(directories)
    other.create_data()
    shutil.copy(migrated, other.hive_db)
    write(other.hive_db, 12_000).close()
    before = other.hive_db.stat().st_size
    list(archive(other, 20_000))
    assert other.hive_db.stat().st_size < before / 3
    assert len(list(read(read_only(other.hive_db)))) == 12_000


def test_beside_a_daemon(directories: Directories) -> None:
    """Nobody archives behind the back of a daemon."""
    with alone(directories.lock_file, "--data-dir"), pytest.raises(AnotherDaemon):
        next(archive(directories, 10))
