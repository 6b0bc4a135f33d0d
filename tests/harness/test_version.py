"""The harness's version is the project's."""

from __future__ import annotations

import tomllib

from harness.version import VERSION
from tests.harness.running import ROOT


def test_is_the_projects() -> None:
    """It is written twice, since a container has no metadata of the project, and must not drift."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
