"""View ``questions``: what agents asked the operator, and how it ended."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from hyperhive.events import questions as facts
from hyperhive.events.envelope import Recorded
from hyperhive.projections.projection import Change, Fold, FrozenRow, Projection, Rows, evolve

EXPIRED = "[expired]"
CANCELLED = "[cancelled]"
"""What the asker reads as the answer where the operator gave none."""


class Status(enum.StrEnum):
    """How a question stands."""

    OPEN = "open"
    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Question(FrozenRow, frozen=True, kw_only=True):
    """One question. ``answer`` is what the asker read, once it is resolved."""

    id: int
    asker: str
    question: str
    options: tuple[str, ...] = ()
    multi: bool = False
    asked_at: int
    deadline_at: int | None = None
    status: Status = Status.OPEN
    answer: str | None = None
    resolved_at: int | None = None
    resolved_by: str | None = None
    position: int
    """Of the fact that asked it: what its ending is caused by."""
    correlation: int


def is_open(row: Question) -> bool:
    """Whether it still waits."""
    return row.status is Status.OPEN


def _asked(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event: facts.QuestionAsked = recorded.event
    row = Question(
        id=event.id,
        asker=event.asker,
        question=event.question,
        options=event.options,
        multi=event.multi,
        asked_at=recorded.at,
        deadline_at=event.deadline_at,
        position=recorded.position,
        correlation=recorded.correlation,
    )
    return ((event.id, row),)


def _resolved(status: Status, answer: str | None = None) -> Fold:
    def fold(rows: Rows, recorded: Recorded) -> Iterable[Change]:
        event = recorded.event
        row = evolve(
            rows[event.id],
            status=status,
            answer=answer if answer is not None else event.answer,
            resolved_at=recorded.at,
            resolved_by=recorded.actor,
        )
        return ((event.id, row),)

    return fold


QUESTIONS = Projection(
    name="questions",
    row=Question,
    key=("id",),
    is_open=is_open,
    folds={
        facts.QuestionAsked: _asked,
        facts.QuestionAnswered: _resolved(Status.ANSWERED),
        facts.QuestionExpired: _resolved(Status.EXPIRED, EXPIRED),
        facts.QuestionCancelled: _resolved(Status.CANCELLED, CANCELLED),
    },
)
