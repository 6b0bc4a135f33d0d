"""Facts about questions to the operator. Streams ``question-<id>``; ids count from 1."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class QuestionFact:
    """A fact in the stream of one question.

    Each says who asked and what, because its ending is a message to the asker, folded from the ending alone.
    """

    id: int
    asker: str
    question: str

    @property
    def stream(self) -> str:
        """The question's stream."""
        return f"question-{self.id}"


@attrs.frozen(kw_only=True)
class QuestionAsked(QuestionFact):
    """An agent wants to know something from the operator."""

    options: tuple[str, ...] = ()
    multi: bool = False
    """Whether several options may be chosen."""
    deadline_at: int | None = None
    """Microseconds since 1970; afterwards the question resolves by itself."""


@attrs.frozen(kw_only=True)
class QuestionAnswered(QuestionFact):
    """The operator answered; ``answer`` is what the asker reads."""

    answer: str


@attrs.frozen(kw_only=True)
class QuestionExpired(QuestionFact):
    """The deadline came first."""


@attrs.frozen(kw_only=True)
class QuestionCancelled(QuestionFact):
    """The operator will not answer."""


@attrs.frozen(kw_only=True)
class QuestionAnsweredLate(QuestionFact):
    """The operator answered a question that had expired: the asker reads it as a note, and the expiry stands."""

    answer: str
