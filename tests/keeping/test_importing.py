"""A hive made of an exported log: the same one, or none at all."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyperhive.config import Directories
from hyperhive.daemon.alone import AnotherDaemon, alone
from hyperhive.events import chain
from hyperhive.events.agents import KillSucceeded
from hyperhive.events.envelope import DAEMON
from hyperhive.events.exchange import BadExport, export
from hyperhive.events.messages import MessageSent
from hyperhive.events.redaction import redact
from hyperhive.keeping.importing import import_log
from hyperhive.keeping.staging import NotEmpty, Unfoldable
from hyperhive.projections import database, mirror
from hyperhive.projections.hive import PROJECTIONS
from hyperhive.replay.verify import verify
from tests.commands.desk import Desk
from tests.replay.test_verify import lived


@pytest.fixture
def directories(tmp_path: Path) -> Directories:
    """Return an empty place."""
    return Directories(data=tmp_path / "data", run=tmp_path / "run")


def exported(path: Path, **options: Any) -> bytes:
    """Return an export."""
    out = io.BytesIO()
    export(path, out.write, release="0.1.0", **options)
    return out.getvalue()


def tables(path: Path) -> dict[str, list[Any]]:
    """Return every row of the log and of every view."""
    with sqlite3.connect(path) as connection:
        names = ["events", "projections", *(projection.name for projection in PROJECTIONS)]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names}  # noqa: S608 - ours


def files(directory: Path) -> set[str]:
    """Return what lies in a data directory, but for its lock."""
    return {path.name for path in directory.iterdir() if path.is_file()} - {"hive.lock"}


class TestSame:
    """What an import makes."""

    def test_equal(self, hive_db: Path, directories: Directories) -> None:
        """Log and views are equal to the last value; the chain holds, and a daemon can go on from it."""
        lived(hive_db).log.close()
        done = import_log(io.BytesIO(exported(hive_db)), directories)
        path = directories.hive_db
        assert tables(path) == tables(hive_db)
        assert chain.verify(path) == chain.verify(hive_db)
        assert (done.count, done.head, done.redacted) == (verify(path).position, chain.verify(path).head.hex(), False)
        assert exported(path) == exported(hive_db)
        assert path.stat().st_mode & 0o777 == 0o600
        assert files(directories.data) == {"hive.sqlite"}
        again = Desk(path)
        again.log.record(MessageSent(to="operator", sender="coder", body="on"), at=1, actor=DAEMON)
        again.log.commit()
        assert again.log.head.position == done.count + 1

    def test_first_part(self, hive_db: Path, directories: Directories) -> None:
        """An export up to a position becomes the hive as it was then."""
        desk = lived(hive_db)
        import_log(io.BytesIO(exported(hive_db, last=9)), directories)
        assert verify(directories.hive_db).position == 9
        with sqlite3.connect(":memory:") as scratch:
            for table in mirror.metadata.sorted_tables:
                columns = ", ".join(f'"{column.name}"' for column in table.columns)
                key = ", ".join(f'"{column.name}"' for column in table.primary_key)
                scratch.execute(f"CREATE TABLE {table.name} ({columns}, PRIMARY KEY ({key}))")
            then = mirror.rebuild(scratch, source=desk.log.connection, until=9)
        assert Desk(directories.hive_db).hive.rows == then.rows

    def test_redacted(self, hive_db: Path, directories: Directories) -> None:
        """A redacted export becomes a hive in which the same happened, and nobody said anything."""
        lived(hive_db).log.close()
        assert import_log(io.BytesIO(exported(hive_db, change=redact)), directories).redacted
        path = directories.hive_db
        assert chain.verify(path).count == verify(path).position == chain.verify(hive_db).count
        with sqlite3.connect(path) as connection:
            bodies = [row[0] for row in connection.execute("SELECT body FROM messages WHERE sender <> 'system'")]
        assert set(bodies) == {"[redacted]"}

    def test_into_an_empty_hive(self, hive_db: Path, migrated: Path, directories: Directories) -> None:
        """A database in which nothing has happened yet is no hive that would be lost."""
        lived(hive_db).log.close()
        directories.create_data()
        directories.hive_db.write_bytes(migrated.read_bytes())
        import_log(io.BytesIO(exported(hive_db)), directories)
        assert tables(directories.hive_db) == tables(hive_db)


class TestRefused:
    """Nothing is half done."""

    def test_a_hive_is_there(self, hive_db: Path, directories: Directories) -> None:
        """A hive with facts is left as it is."""
        lived(hive_db).log.close()
        content = exported(hive_db)
        import_log(io.BytesIO(content), directories)
        before = directories.hive_db.read_bytes()
        with pytest.raises(NotEmpty, match=r"holds a hive of \d+ facts; import into an empty"):
            import_log(io.BytesIO(content), directories)
        assert directories.hive_db.read_bytes() == before

    def test_another_database(self, hive_db: Path, directories: Directories) -> None:
        """Some other file in the database's place is left as it is."""
        lived(hive_db).log.close()
        directories.create_data()
        directories.hive_db.write_text("my diary " * 1_000)
        with pytest.raises(database.WrongRevision, match="is not a hive's database"):
            import_log(io.BytesIO(exported(hive_db)), directories)
        assert directories.hive_db.read_text().startswith("my diary")

    def test_daemon_runs(self, hive_db: Path, directories: Directories) -> None:
        """Where a daemon has the directory, nothing is done."""
        lived(hive_db).log.close()
        directories.create_data()
        with (
            alone(directories.lock_file, "--data-dir"),
            pytest.raises(AnotherDaemon, match=r"another daemon.* runs on .*data"),
        ):
            import_log(io.BytesIO(exported(hive_db)), directories)
        assert files(directories.data) == set()

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            (lambda content: content[:-10], "the file ends in the middle"),
            (lambda content: content[: content.rindex(b"\n", 0, -1) + 1], "more should follow"),
            (lambda content: content.replace(b"hello", b"hallo"), "its hash does not follow"),
            (lambda content: content.replace(b'"count":', b'"count": '), "the last line does not fit"),
        ],
    )
    def test_bad_file(
        self, hive_db: Path, directories: Directories, change: Callable[[bytes], bytes], match: str
    ) -> None:
        """A file that is not whole leaves no database, and nothing beside it."""
        lived(hive_db).log.close()
        with pytest.raises(BadExport, match=rf"^line \d+: .*{match}.*; nothing was imported"):
            import_log(io.BytesIO(change(exported(hive_db))), directories)
        assert files(directories.data) == set()

    def test_not_from_the_beginning(self, hive_db: Path, directories: Directories) -> None:
        """A part from the middle is no hive's past."""
        lived(hive_db).log.close()
        with pytest.raises(BadExport, match="line 1: the export begins at position 4, and a hive needs its past"):
            import_log(io.BytesIO(exported(hive_db, first=4)), directories)
        assert files(directories.data) == set()

    def test_facts_that_do_not_follow(self, hive_db: Path, directories: Directories) -> None:
        """Facts with a chain that holds, but which no hive could have, are refused, too."""
        desk = Desk(hive_db)
        desk.log.record(KillSucceeded(agent="nobody"), at=1, actor=DAEMON)
        desk.log.commit()
        with pytest.raises(Unfoldable, match="its facts do not follow from each other: KeyError"):
            import_log(io.BytesIO(exported(hive_db)), directories)
        assert files(directories.data) == set()
