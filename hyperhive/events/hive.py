"""Facts about the hive as a whole and the daemon that runs it. Stream ``hive-hive``."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class HiveFact:
    """A fact in the hive's own stream."""

    @property
    def stream(self) -> str:
        """The one stream of its category."""
        return "hive-hive"


@attrs.frozen(kw_only=True)
class HiveCreated(HiveFact):
    """The first fact of every log; ``hive`` is a random id that marks this hive's processes."""

    hive: str


@attrs.frozen(kw_only=True)
class HiveFrozen(HiveFact):
    """Every turn loop is parked at once, running turns are interrupted."""


@attrs.frozen(kw_only=True)
class HiveThawed(HiveFact):
    """The turn loops go on, but those that are paused."""


@attrs.frozen(kw_only=True)
class DaemonStarted(HiveFact):
    """A daemon took the log; ``release`` tells which one can read what follows."""

    release: str
    runtime: str


@attrs.frozen(kw_only=True)
class DaemonStopped(HiveFact):
    """The daemon ended in good order; agents may run on."""
