"""Repositories of a data directory, and an attacker's proposed one in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperhive.repositories.repositories import Repositories
from tests.repositories.hostile import Workshop


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    """An empty data directory's."""
    for inside in ("proposed", "applied"):
        (tmp_path / inside).mkdir()
    return Repositories(tmp_path)


@pytest.fixture
def workshop(repositories: Repositories, tmp_path: Path) -> Workshop:
    """The proposed repository of coder, as the host made it."""
    repositories.propose("coder", {"agent.toml": b'model = "opus"\n'})
    return Workshop(repositories.proposed("coder"), tmp_path / "sprung")
