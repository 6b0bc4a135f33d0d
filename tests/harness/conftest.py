"""A scripted host on a socket with a short path, and the agent's directory beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.host import Host


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a directory for one agent: ``agent.sock``, ``state/``, ``log``; a socket's path is 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="hh-", ignore_cleanup_errors=True) as directory:
        (Path(directory) / "state").mkdir()
        yield Path(directory)


@pytest.fixture
def host(place: Path) -> Iterator[Host]:
    """Return a host that listens."""
    host = Host(place / "agent.sock").start()
    yield host
    host.stop()
