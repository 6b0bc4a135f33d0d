"""View ``operators``: the people who have a key of their own."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from hyperhive.events import operators as facts
from hyperhive.events.envelope import Actor, Recorded, Role
from hyperhive.projections.projection import Change, FrozenRow, Projection, Rows


class Operator(FrozenRow, frozen=True, kw_only=True):
    """One person; ``role`` is operator, or viewer, who reads only."""

    name: str
    role: str
    key_hash: str
    added_at: int
    added_by: str

    @property
    def actor(self) -> Actor:
        """The person as the log names it: ``operator:anna``, ``viewer:bob``."""
        return Actor(Role(self.role), self.name)


def hash_of(key: str) -> str:
    """Return what is kept of a key. Keys are long and random, so that a plain hash cannot be turned back."""
    return sha256(key.encode()).hexdigest()


def _added(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event: facts.OperatorAdded = recorded.event
    row = Operator(
        name=event.operator,
        role=event.role,
        key_hash=event.key_hash,
        added_at=recorded.at,
        added_by=recorded.actor,
    )
    return ((event.operator, row),)


def _removed(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    return ((recorded.event.operator, None),)


OPERATORS = Projection(
    name="operators",
    row=Operator,
    key=("name",),
    folds={facts.OperatorAdded: _added, facts.OperatorRemoved: _removed},
)
