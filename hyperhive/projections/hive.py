"""The hive as it stands: all projections together, folded from one fact after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from hyperhive.events.envelope import Recorded
from hyperhive.projections.agents import AGENTS
from hyperhive.projections.approvals import APPROVALS
from hyperhive.projections.configurations import CONFIGURATIONS
from hyperhive.projections.egress import EGRESS
from hyperhive.projections.freeze import FREEZE
from hyperhive.projections.identity import IDENTITY
from hyperhive.projections.messages import MESSAGES
from hyperhive.projections.operators import OPERATORS
from hyperhive.projections.projection import Bulk, Fold, Key, Projection, Row, Rows, Sweep
from hyperhive.projections.questions import QUESTIONS
from hyperhive.projections.sequences import SEQUENCES
from hyperhive.projections.sessions import SESSIONS
from hyperhive.projections.slash_commands import SLASH_COMMANDS
from hyperhive.projections.turns import TURNS

PROJECTIONS: tuple[Projection, ...] = (
    AGENTS,
    MESSAGES,
    SESSIONS,
    QUESTIONS,
    SEQUENCES,
    FREEZE,
    IDENTITY,
    APPROVALS,
    CONFIGURATIONS,
    OPERATORS,
    EGRESS,
    TURNS,
    SLASH_COMMANDS,
)

Changed = tuple[Projection, Key | Sweep, Row | None]
"""A row of a projection as it is after a fact, or None where it is gone (with a `Sweep`: where they are)."""


def _apply(is_open: Callable[[Row], bool], rows: Rows, key: Key | Sweep, row: Row | None) -> None:
    """Keep what is open; drop what is closed or gone."""
    if row is not None and is_open(row):
        rows.put(key, row)
    elif row is not None or not isinstance(key, Sweep):  # a sweep takes closed rows, which are not here
        rows.drop(key)


class Hive:
    """All open rows. It changes by `fold` alone; decisions and views only read it."""

    def __init__(self) -> None:
        self.position = 0
        """The last fact folded."""
        self.rows: dict[str, Rows] = {projection.name: projection.empty() for projection in PROJECTIONS}
        self._folds: dict[type, list[tuple[Projection, Rows, Fold]]] = {}
        """Who folds a fact of this type, and into which rows."""
        for projection in PROJECTIONS:
            for event, fold in projection.folds.items():
                self._folds.setdefault(event, []).append((projection, self.rows[projection.name], fold))
        self.agents = self.rows[AGENTS.name]
        self.messages = self.rows[MESSAGES.name]
        self.sessions = self.rows[SESSIONS.name]
        self.questions = self.rows[QUESTIONS.name]
        self.sequences = self.rows[SEQUENCES.name]
        self.freeze = self.rows[FREEZE.name]
        self.identity = self.rows[IDENTITY.name]
        self.approvals = self.rows[APPROVALS.name]
        self.configurations = self.rows[CONFIGURATIONS.name]
        self.operators = self.rows[OPERATORS.name]
        self.egress = self.rows[EGRESS.name]
        self.turns = self.rows[TURNS.name]
        self.slash_commands = self.rows[SLASH_COMMANDS.name]

    def become(self, other: Hive) -> None:
        """Take another hive's place, for those who hold on to this one (memory was ahead of a file that was full)."""
        self.__dict__.update(other.__dict__)

    def fold(self, recorded: Recorded) -> list[Changed]:
        """Take one more fact in; return the rows it changed."""
        changed: list[Changed] = []
        for projection, rows, fold in self._folds.get(type(recorded.event), ()):
            is_open = projection.is_open
            for key, row in fold(rows, recorded):
                _apply(is_open, rows, key, row)
                changed.append((projection, key, row))
        self.position = recorded.position
        return changed

    def fold_all(self, facts: Iterable[Recorded]) -> None:
        """Take many facts in, for those who do not mirror the changes: it leaves the rows that `fold` leaves, sooner.

        Where a fact cannot be folded, or the iterator raises, the hive is of no more use.
        """
        bulk = _Bulk(self._folds)
        recorded = None
        for recorded in facts:
            bulk[type(recorded.event)](recorded)
        bulk.settle()
        if recorded is not None:
            self.position = recorded.position


Take = Callable[[Recorded], None]


class _Bulk(dict[type, Take]):
    """Who takes a fact of each type while many are folded."""

    def __init__(self, folds: Mapping[type, list[tuple[Projection, Rows, Fold]]]) -> None:
        super().__init__()
        self._stepwise = folds
        self._bulks: dict[str, Bulk] = {}

    def __missing__(self, event: type) -> Take:
        takes = [self._taking(event, *each) for each in self._stepwise.get(event, ())]

        def each(recorded: Recorded) -> None:
            for take in takes:
                take(recorded)

        self[event] = takes[0] if len(takes) == 1 else each
        return self[event]

    def _taking(self, event: type, projection: Projection, rows: Rows, fold: Fold) -> Take:
        bulk = self._bulks.get(projection.name)
        if bulk is None and projection.bulk is not None:
            bulk = self._bulks[projection.name] = projection.bulk(rows)
        if bulk is not None and event in bulk.folds:
            return bulk.folds[event]

        def step(recorded: Recorded) -> None:
            if bulk is not None:
                bulk.settle()
            for key, row in fold(rows, recorded):
                _apply(projection.is_open, rows, key, row)

        return step

    def settle(self) -> None:
        for bulk in self._bulks.values():
            bulk.settle()
