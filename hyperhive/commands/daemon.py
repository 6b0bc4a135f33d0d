"""Deciding about the hive itself: its creation, and the comings and goings of its daemon."""

from __future__ import annotations

import attrs

from hyperhive.commands.command import Command
from hyperhive.commands.errors import Conflict
from hyperhive.events import hive as facts
from hyperhive.events.envelope import Fact
from hyperhive.projections.freeze import freeze_of
from hyperhive.projections.hive import Hive


@attrs.frozen(kw_only=True)
class CreateHive(Command):
    """Begin the log; ``hive`` is a random id."""

    hive: str


@attrs.frozen(kw_only=True)
class RecordDaemonStart(Command):
    """A daemon of this release took the log, with this runtime."""

    release: str
    runtime: str


@attrs.frozen(kw_only=True)
class FreezeHive(Command):
    """Park every turn loop at once and interrupt the running turns."""


@attrs.frozen(kw_only=True)
class ThawHive(Command):
    """Let the turn loops go on."""


@attrs.frozen(kw_only=True)
class RecordRestore(Command):
    """This log has just been taken from a backup; ``epoch`` is a random id for what follows."""

    epoch: str
    position: int
    """Where the backup ended."""
    head: str


@attrs.frozen(kw_only=True)
class RecordDaemonStop(Command):
    """The daemon ends in good order."""


def create(hive: Hive, command: CreateHive) -> list[Fact]:
    """Write the first fact; a log that has one is a hive already."""
    return [] if hive.position else [facts.HiveCreated(hive=command.hive)]


def freeze(hive: Hive, _command: FreezeHive) -> list[Fact]:
    """Freeze; a frozen hive stays so."""
    return [] if freeze_of(hive.freeze).frozen else [facts.HiveFrozen()]


def thaw(hive: Hive, _command: ThawHive) -> list[Fact]:
    """Thaw; a hive that is not frozen needs none."""
    return [facts.HiveThawed()] if freeze_of(hive.freeze).frozen else []


def started(_hive: Hive, command: RecordDaemonStart) -> list[Fact]:
    """Note the start."""
    return [facts.DaemonStarted(release=command.release, runtime=command.runtime)]


def restored(hive: Hive, command: RecordRestore) -> list[Fact]:
    """Begin the new epoch at the backup's end; one that goes on from elsewhere is a `Conflict`."""
    if hive.position != command.position:
        raise Conflict(f"the backup ended at {command.position}, and the log stands at {hive.position}")
    return [facts.HiveRestored(epoch=command.epoch, position=command.position, head=command.head)]


def stopped(_hive: Hive, _command: RecordDaemonStop) -> list[Fact]:
    """Note the end."""
    return [facts.DaemonStopped()]
