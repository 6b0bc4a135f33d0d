"""Migrations: a migrated database is what the code believes it is, however one got there."""

from __future__ import annotations

import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine, inspect
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex

from hyperhive.events import chain, schema
from hyperhive.events.log import Log, connect
from hyperhive.projections import database, mirror

FACTS = "0009"
"""The revision from which the log keeps facts and not rows of events."""


APART = """
import sys
from pathlib import Path
from hyperhive.projections import database
database.upgrade_apart(Path(sys.argv[1]))
assert "alembic" not in sys.modules
"""
KILLED = """
import os, signal
from hyperhive.projections import database
parent, look = os.getpid(), database.current_revision
database.current_revision = lambda path: look(path) if os.getpid() == parent else os.kill(os.getpid(), signal.SIGKILL)
"""


def described(metadata: MetaData) -> dict[str, Any]:
    """Return what the code believes of its tables: columns with type, nullability and key, and indexes."""
    return {
        table.name: {
            "columns": {
                column.name: (str(column.type), bool(column.nullable), column.primary_key) for column in table.columns
            },
            "key": [column.name for column in table.primary_key],
            "indexes": sorted(
                plain(str(CreateIndex(index).compile(dialect=sqlite.dialect()))) for index in table.indexes
            ),
        }
        for table in metadata.tables.values()
    }


def found(path: Path, names: set[str]) -> dict[str, Any]:
    """Return the same of a database."""
    engine = create_engine(f"sqlite:///{path}")
    connection = sqlite3.connect(path)
    inspector = inspect(engine)
    tables = {}
    for name in names:
        key = inspector.get_pk_constraint(name)["constrained_columns"]
        tables[name] = {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["name"] in key)
                for column in inspector.get_columns(name)
            },
            "key": key,
            "indexes": sorted(
                plain(sql)
                for (sql,) in connection.execute(
                    "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL",
                    (name,),
                )
            ),
        }
    engine.dispose()
    return tables


def plain(sql: str) -> str:
    """Return SQL without what does not matter: quotes and white space."""
    return re.sub(r"\s+", " ", sql.replace('"', "")).strip()


def schema_of(path: Path) -> list[Any]:
    """Return everything that a database is made of."""
    return sqlite3.connect(path).execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()


class TestSchema:
    """A migrated database and the code."""

    @pytest.mark.parametrize("metadata", [schema.metadata, mirror.metadata], ids=["log", "projections"])
    def test_tables(self, migrated: Path, metadata: MetaData) -> None:
        """Columns, types, nullability, keys and indexes are what SQLAlchemy was told."""
        expected = described(metadata)
        assert found(migrated, set(expected)) == expected

    def test_no_other_tables(self, migrated: Path) -> None:
        """No revision leaves a table that no code knows."""
        tables = {name for kind, name, *_ in schema_of(migrated) if kind == "table"}
        known = {*schema.metadata.tables, *mirror.metadata.tables, "alembic_version", "sqlite_sequence"}
        assert tables == known

    def test_triggers(self, migrated: Path) -> None:
        """The triggers are those that the log insists on, word for word, and no others."""
        triggers = {name: sql for kind, name, _, sql in schema_of(migrated) if kind == "trigger"}
        assert triggers == {name: sql.strip() for name, sql in schema.TRIGGERS.items()}

    def test_positions_are_never_reused(self, migrated: Path) -> None:
        """The table of events keeps AUTOINCREMENT, which a copied table would lose."""
        sql = next(sql for kind, name, _, sql in schema_of(migrated) if (kind, name) == ("table", "facts"))
        assert "PRIMARY KEY AUTOINCREMENT" in sql

    def test_integrity(self, migrated: Path) -> None:
        """SQLite itself finds nothing to complain about."""
        assert sqlite3.connect(migrated).execute("PRAGMA integrity_check").fetchall() == [("ok",)]


class TestUpgrade:
    """From any release to this one."""

    def test_new_file(self, tmp_path: Path) -> None:
        """A database is made for the daemon's user alone."""
        path = tmp_path / "hive.sqlite"
        assert database.current_revision(path) is None
        database.upgrade(path)
        assert database.current_revision(path) == database.head_revision()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_again(self, hive_db: Path) -> None:
        """To upgrade what is up to date changes nothing."""
        before = hive_db.read_bytes()
        database.upgrade(hive_db)
        assert hive_db.read_bytes() == before

    def test_revisions_are_one_line(self) -> None:
        """Revisions are numbered without a gap, each follows the one before, and the last is the head."""
        files = sorted((database.MIGRATIONS / "versions").glob("[0-9]*_*.py"))
        texts = [file.read_text() for file in files]
        numbers = [file.name.split("_")[0] for file in files]
        assert numbers == [f"{number:04}" for number in range(1, len(files) + 1)]
        named = [re.findall(r'^revision = "(\w+)"', text, re.MULTILINE) for text in texts]
        assert named == [[number] for number in numbers]
        parents = [re.findall(r'^down_revision = (?:"(\w+)"|None)', text, re.MULTILINE) for text in texts]
        assert parents == [["", *numbers][at : at + 1] for at in range(len(files))]
        assert database.head_revision() == numbers[-1]

    @pytest.mark.parametrize("revision", [f"{number:04}" for number in range(1, int(database.head_revision()))])
    def test_step_by_step(self, tmp_path: Path, migrated: Path, revision: str) -> None:
        """A file of any older release, with facts in it, becomes the same database, and keeps its facts."""
        path = tmp_path / "hive.sqlite"
        database.upgrade(path, revision)
        data = '{"to":"operator","sender":"coder","body":"hi"}'
        envelope = (1, "inbox-operator", 1, "MessageSent", 1, "daemon", 1, None)
        with sqlite3.connect(path) as connection:
            row = (*envelope, data, chain.link(chain.GENESIS, envelope, data.encode()))
            if revision < FACTS:
                connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        connection.close()
        if revision >= FACTS:
            log = Log(connect(path))
            log.adopt((*envelope, data, row[-1]))
            log.commit()
            log.close()
        database.upgrade(path)
        assert schema_of(path) == schema_of(migrated)
        log, hive = database.open_hive(path)
        assert log.head.position == 1
        assert [row.body for row in hive.messages.values()] == ["hi"]

    @pytest.mark.parametrize("killed", [False, True])
    def test_apart(self, tmp_path: Path, killed: bool) -> None:
        """In a process of its own it does the same, leaves no Alembic behind, and says so where that is killed."""
        path = tmp_path / "hive.sqlite"
        ended = subprocess.run(
            [sys.executable, "-c", KILLED + APART if killed else APART, str(path)],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
        if killed:
            assert ended.stderr.rstrip().endswith("was killed; start again and it goes on")
            assert database.current_revision(path) is None
        else:
            assert ended.returncode == 0, ended.stderr
            assert database.current_revision(path) == database.head_revision()

    def test_newer_release(self, hive_db: Path) -> None:
        """A file of a newer release is refused and left alone."""
        connection = sqlite3.connect(hive_db)
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        before = hive_db.read_bytes()
        with pytest.raises(
            database.WrongRevision, match=r"revision 9999, written by a newer release.*upgrade hyperhive"
        ):
            database.upgrade(hive_db)
        assert hive_db.read_bytes() == before

    def test_not_a_database(self, tmp_path: Path) -> None:
        """Some other file is refused and left alone."""
        path = tmp_path / "hive.sqlite"
        path.write_text("not a database " * 1000)
        with pytest.raises(database.WrongRevision, match="is not a hive's database"):
            database.upgrade(path)
        assert path.read_text() == "not a database " * 1000

    def test_cut_off(self, tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A revision that breaks in its middle leaves nothing of itself, and the next start carries on."""
        broken = tmp_path / "migrations"
        shutil.copytree(database.MIGRATIONS, broken, ignore=shutil.ignore_patterns("__pycache__"))
        first = next((broken / "versions").glob("0001_*.py"))
        good = first.read_text()
        first.write_text(good.replace("    op.execute(COMMANDS)", '    raise RuntimeError("the power fails")'))
        monkeypatch.setattr(database, "MIGRATIONS", broken)
        path = tmp_path / "hive.sqlite"
        with pytest.raises(RuntimeError, match="the power fails"):
            database.upgrade(path)
        monkeypatch.undo()
        database.upgrade(path)
        assert schema_of(path) == schema_of(migrated)

    def test_log_stays_append_only(self, migrated: Path) -> None:
        """No revision alters the table of events by copying it, which would drop its triggers."""
        versions = (database.MIGRATIONS / "versions").glob("*.py")
        assert all("batch_alter_table" not in version.read_text() for version in versions)
        Log(connect(migrated)).close()
