"""A directory for each test that is short enough for sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def place() -> Iterator[Path]:
    """Give an empty directory; pytest's own have paths that are too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="hh-", dir="/tmp") as directory:
        yield Path(directory)
