"""A place of its own for each test, short enough for sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.host import ScriptedHost, serving
from tests.cli.program import Program


@pytest.fixture
def hyperhive() -> Iterator[Program]:
    """Give the program in fresh directories, without a daemon."""
    # pytest's own directories are too long for the path of a socket.
    with tempfile.TemporaryDirectory(prefix="hh-", dir="/tmp") as place:
        home = Path(place)
        yield Program(home=home, data=home / "data", run=home / "run")


@pytest.fixture
def host(hyperhive: Program) -> Iterator[ScriptedHost]:
    """Give a scripted daemon that the program finds."""
    with serving(hyperhive.run / "host.sock") as host:
        yield host
