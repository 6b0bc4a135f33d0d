"""What tests of several rooms start from: an empty hive's database, migrated once in a test run and then copied."""

from __future__ import annotations

import shutil
import signal
import threading
from pathlib import Path

import hypothesis
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


# A busy machine is no reason to fail: how long an example takes, or its making, says nothing about what it shows.
hypothesis.settings.register_profile("calm", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("calm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that boot hosts: they take minutes, and at the end nothing would run beside them."""
    items.sort(key=lambda item: "tests/host" not in item.path.as_posix())


def pytest_configure() -> None:
    """Listen to Ctrl-C again: a test run in the background was told to ignore it, and so would all that it starts."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
