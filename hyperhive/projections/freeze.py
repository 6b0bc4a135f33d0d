"""View ``freeze``: whether every turn loop is parked at once."""

from __future__ import annotations

from collections.abc import Iterable

from hyperhive.events import hive as facts
from hyperhive.events.envelope import Recorded
from hyperhive.projections.projection import Change, Fold, FrozenRow, Projection, Rows

HIVE = "hive"


class Freeze(FrozenRow, frozen=True, kw_only=True):
    """The one row; ``position`` is that of the newest freeze or thaw."""

    id: str = HIVE
    frozen: bool = False
    position: int = 0
    at: int | None = None
    by: str | None = None


def freeze_of(rows: Rows) -> Freeze:
    """Return how things stand; a hive that was never frozen is not."""
    return rows.get(HIVE) or Freeze()


def _changed(*, frozen: bool) -> Fold:
    def fold(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
        row = Freeze(frozen=frozen, position=recorded.position, at=recorded.at, by=recorded.actor)
        return ((HIVE, row),)

    return fold


FREEZE = Projection(
    name="freeze",
    row=Freeze,
    key=("id",),
    folds={facts.HiveFrozen: _changed(frozen=True), facts.HiveThawed: _changed(frozen=False)},
)
