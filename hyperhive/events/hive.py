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


@attrs.frozen(kw_only=True)
class MessagesForgotten(HiveFact):
    """Messages that were delivered, or discarded with their recipient, before a moment left the inboxes.

    What they said stays in the log; what is undelivered or parked stays in its inbox.
    """

    before: int
    """Microseconds since 1970."""
    count: int
    """As it was found just before; which ones go follows from ``before`` alone."""


@attrs.frozen(kw_only=True)
class StreamsTrimmed(HiveFact):
    """The oldest events of these agents' turn streams were removed from the host's files."""

    agents: tuple[str, ...]
    events: int
    """How many, of all of them together."""


@attrs.frozen(kw_only=True)
class HiveRestored(HiveFact):
    """From here on this log is a continuation of its own: its past up to ``position`` came out of a backup.

    Two continuations of one backup differ in ``epoch``, a random id, which marks this one's processes from here on.
    """

    epoch: str
    position: int
    """Where the backup ended."""
    head: str
    """The hash of the fact there, in hexadecimal."""
