"""View ``identity``: which hive this is, and which continuation of it."""

from __future__ import annotations

from collections.abc import Iterable

from hyperhive.events import hive as facts
from hyperhive.events.envelope import Recorded
from hyperhive.projections.projection import Change, FrozenRow, Projection, Rows, evolve

HIVE = "hive"


class Identity(FrozenRow, frozen=True, kw_only=True):
    """The one row; there is none before the hive is created."""

    id: str = HIVE
    hive: str
    epoch: str | None = None
    """Of the newest restoration from a backup."""
    restored_at: int | None = None
    release: str | None = None
    """Of the newest daemon: what an agent's harness should be, too."""


def identity_of(rows: Rows) -> Identity:
    """Return the one row of a hive that was created."""
    row: Identity = rows[HIVE]
    return row


def mark_of(rows: Rows) -> str:
    """Return the id that marks this hive's processes: a restored copy and its original may run on one host."""
    row = identity_of(rows)
    return row.epoch or row.hive


def _created(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    return ((HIVE, Identity(hive=recorded.event.hive)),)


def _restored(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event: facts.HiveRestored = recorded.event
    return ((HIVE, evolve(rows[HIVE], epoch=event.epoch, restored_at=recorded.at)),) if HIVE in rows else ()


def _started(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event: facts.DaemonStarted = recorded.event
    return ((HIVE, evolve(rows[HIVE], release=event.release)),) if HIVE in rows else ()


IDENTITY = Projection(
    name="identity",
    row=Identity,
    key=("id",),
    revision=2,
    folds={facts.HiveCreated: _created, facts.HiveRestored: _restored, facts.DaemonStarted: _started},
)
