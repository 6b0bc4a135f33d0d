"""What tests of several rooms start from: an empty hive's database, migrated once in a test run and then copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hyperhive.projections import database


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated database without a fact; copy it before writing to it."""
    path = tmp_path_factory.mktemp("migrated") / "hive.sqlite"
    database.upgrade(path)
    return path


@pytest.fixture
def hive_db(migrated: Path, tmp_path: Path) -> Path:
    """Return a migrated database of the test's own."""
    return Path(shutil.copy(migrated, tmp_path / "hive.sqlite"))
