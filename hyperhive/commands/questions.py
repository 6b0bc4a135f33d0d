"""Deciding about questions: asking, and the one ending that comes first."""

from __future__ import annotations

import attrs

from hyperhive.commands.command import Command
from hyperhive.commands.errors import Conflict, Invalid, NotFound, Settled, TooLarge
from hyperhive.events import questions as facts
from hyperhive.events.envelope import Fact
from hyperhive.projections.hive import Hive
from hyperhive.projections.questions import Question, Status
from hyperhive.projections.sequences import QUESTION, next_id

MAX_QUESTION_CHARACTERS = 4_000
MAX_OPTIONS = 20
MAX_OPTION_CHARACTERS = 200
MAX_ANSWER_CHARACTERS = 8_000
MAX_TTL_SECONDS = 366 * 86_400
MAX_OPEN = 20
"""Questions that one agent may have open."""


@attrs.frozen(kw_only=True)
class AskQuestion(Command):
    """Ask the operator."""

    question: str
    options: tuple[str, ...] = ()
    multi: bool = False
    ttl_seconds: int | None = None
    agents_may_ask: bool = attrs.field(default=False, eq=False)
    """Whether the operator's configuration lets agents ask that are not the manager; set by the host, never by a
    payload."""


@attrs.frozen(kw_only=True)
class Resolution(Command):
    """One of the endings of a question.

    ``closed`` is its row from the table, where the caller found that it is resolved already: what is resolved never
    changes, so such a row cannot be outdated.
    """

    question: int
    closed: Question | None = attrs.field(default=None, eq=False)

    @property
    def number(self) -> int:
        """The id of the row that it ends."""
        return self.question


@attrs.frozen(kw_only=True)
class AnswerQuestion(Resolution):
    """Answer it: checked options, and free text."""

    options: tuple[str, ...] = ()
    text: str = ""


@attrs.frozen(kw_only=True)
class CancelQuestion(Resolution):
    """Say that there will be no answer."""


@attrs.frozen(kw_only=True)
class ExpireQuestion(Resolution):
    """The deadline has come, says the reactor that watched the clock."""


class Resolved(Settled):
    """Another ending came first."""

    def __init__(self, number: int, standing: Question | None) -> None:
        told = "is resolved" if standing is None else f"was {standing.status.value} already: {standing.answer}"
        super().__init__(f"question {number} {told}", standing)


def ask(hive: Hive, command: AskQuestion) -> list[Fact]:
    """Put the question; its id is the next small number."""
    asker = command.actor.name
    _check(command)
    waiting = sum(row.asker == asker for row in hive.questions.values())
    if waiting >= MAX_OPEN:
        raise Conflict(f"{waiting} questions of {asker} wait already; at most {MAX_OPEN} may")
    ttl = command.ttl_seconds
    return [
        facts.QuestionAsked(
            id=next_id(hive.sequences, QUESTION),
            asker=asker,
            question=command.question,
            options=command.options,
            multi=command.multi,
            deadline_at=None if ttl is None else command.at + ttl * 1_000_000,
        ),
    ]


def answer(hive: Hive, command: AnswerQuestion) -> list[Fact]:
    """Answer an open question; a late answer to an expired one becomes a note to the asker."""
    row = _row(hive, command)
    text = answer_text(row, command.options, command.text)
    match row.status:
        case Status.OPEN:
            return [facts.QuestionAnswered(id=row.id, asker=row.asker, question=row.question, answer=text)]
        case Status.EXPIRED:
            return [facts.QuestionAnsweredLate(id=row.id, asker=row.asker, question=row.question, answer=text)]
        case Status.ANSWERED | Status.CANCELLED:
            raise Resolved(row.id, row)


def cancel(hive: Hive, command: CancelQuestion) -> list[Fact]:
    """Cancel an open question."""
    row = _row(hive, command)
    if row.status is not Status.OPEN:
        raise Resolved(row.id, row)
    return [facts.QuestionCancelled(id=row.id, asker=row.asker, question=row.question)]


def expire(hive: Hive, command: ExpireQuestion) -> list[Fact]:
    """Let an open question expire; where something else came first, nothing follows."""
    row: Question | None = hive.questions.get(command.question)
    if row is None or row.deadline_at is None:
        return []
    return [facts.QuestionExpired(id=row.id, asker=row.asker, question=row.question)]


def answer_text(row: Question, options: tuple[str, ...], text: str) -> str:
    """Join the checked options, in the order in which they were offered, and the free text with ``", "``.

    Raises `Invalid` for an option that was not offered, several where one is asked for, and an answer without anything.
    """
    for option in options:
        if option not in row.options:
            raise Invalid(f"{option[:80]!r} is not an option of question {row.id}; it offers: {', '.join(row.options)}")
    chosen = [option for option in row.options if option in options]
    if len(chosen) > 1 and not row.multi:
        raise Invalid(f"question {row.id} takes one option; {len(chosen)} were chosen")
    free = text.strip()
    if len(free) > MAX_ANSWER_CHARACTERS:
        raise TooLarge(f"an answer of {len(free)} characters; at most {MAX_ANSWER_CHARACTERS} are allowed")
    joined = ", ".join([*chosen, free] if free else chosen)
    if not joined:
        raise Invalid("an empty answer; choose an option or write something")
    return joined


def _row(hive: Hive, command: Resolution) -> Question:
    row: Question | None = hive.questions.get(command.question) or command.closed
    if row is not None:
        return row
    if 1 <= command.question < next_id(hive.sequences, QUESTION):
        raise Resolved(command.question, None)
    raise NotFound(f"no question {command.question}")


def _check(command: AskQuestion) -> None:
    length = len(command.question)
    if not command.question.strip():
        raise Invalid("an empty question; write what you want to know")
    if length > MAX_QUESTION_CHARACTERS:
        raise TooLarge(f"a question of {length} characters; at most {MAX_QUESTION_CHARACTERS} are allowed")
    if len(command.options) > MAX_OPTIONS:
        raise TooLarge(f"{len(command.options)} options; at most {MAX_OPTIONS} are allowed")
    for option in command.options:
        if not option.strip() or option != option.strip() or len(option) > MAX_OPTION_CHARACTERS:
            raise Invalid(f"the option {option[:80]!r}; 1 to {MAX_OPTION_CHARACTERS} characters, no space around them")
    if len(set(command.options)) != len(command.options):
        raise Invalid("an option stands twice; each may stand once")
    if command.multi and not command.options:
        raise Invalid("multi without options; give some to choose from")
    ttl = command.ttl_seconds
    if ttl is not None and not 1 <= ttl <= MAX_TTL_SECONDS:
        raise Invalid(f"ttl_seconds is {ttl}; 1 to {MAX_TTL_SECONDS} are allowed (leave it out for no deadline)")
