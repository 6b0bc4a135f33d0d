"""Where an agent finds configurations: in its container, or on the host where nothing confines it."""

from __future__ import annotations

from pathlib import Path

CONFIG = "/config"
"""The files of its own applied configuration, to read."""
PROPOSED = "/proposed"
"""The proposed repositories of all agents; the manager's alone."""
STATE = "/state"


def config_seen(host: Path, *, isolated: bool) -> str:
    """Return where an agent sees its configuration's files."""
    return CONFIG if isolated else str(host)


def state_seen(host: Path, *, isolated: bool) -> str:
    """Return where an agent sees its own directory."""
    return STATE if isolated else str(host)


def proposed_seen(host: Path, *, isolated: bool) -> str:
    """Return where the manager sees the proposed repositories."""
    return PROPOSED if isolated else str(host)
