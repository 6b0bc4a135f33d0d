"""Finds the ``claude`` program: the configured one, or the one that claude-agent-sdk's wheel carries."""

from __future__ import annotations

import importlib.util
from pathlib import Path


class ClaudeMissing(Exception):  # noqa: N818
    """There is no ``claude`` program to run."""


def find_claude(configured: Path | None) -> Path:
    """Return the program's path without importing the SDK (0.9 s). Raises `ClaudeMissing` with what would help."""
    if configured is not None:
        if configured.is_file():
            return configured
        raise ClaudeMissing(
            f"claude.path is {configured}, which is no file; correct it, or leave it out for the bundled one"
        )
    spec = importlib.util.find_spec("claude_agent_sdk")
    bundled = Path(spec.origin).parent / "_bundled" / "claude" if spec is not None and spec.origin else None
    if bundled is None or not bundled.is_file():
        raise ClaudeMissing("no claude program: reinstall claude-agent-sdk, or name one with claude.path")
    return bundled
