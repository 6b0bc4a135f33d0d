"""View ``sequences``: the last id given in each category whose ids are small numbers for people."""

from __future__ import annotations

from collections.abc import Iterable

from hyperhive.events import approvals, questions
from hyperhive.events.envelope import Recorded
from hyperhive.projections.projection import Change, Fold, FrozenRow, Projection, Rows

QUESTION = "question"
APPROVAL = "approval"


class Sequence(FrozenRow, frozen=True, kw_only=True):
    """The last id of one category."""

    category: str
    last: int


def next_id(rows: Rows, category: str) -> int:
    """Return the id that the next of its category gets."""
    row = rows.get(category)
    return 1 if row is None else row.last + 1


def _count(category: str) -> Fold:
    def fold(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
        return ((category, Sequence(category=category, last=recorded.event.id)),)

    return fold


SEQUENCES = Projection(
    name="sequences",
    row=Sequence,
    key=("category",),
    folds={questions.QuestionAsked: _count(QUESTION), approvals.ApprovalRequested: _count(APPROVAL)},
)
