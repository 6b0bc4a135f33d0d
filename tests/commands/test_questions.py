"""Deciding about questions."""

from __future__ import annotations

from typing import Any

import pytest

from hyperhive.commands.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge
from hyperhive.commands.questions import (
    MAX_OPEN,
    AnswerQuestion,
    AskQuestion,
    CancelQuestion,
    ExpireQuestion,
    Resolved,
)
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR, Cause, actor_of_agent
from hyperhive.events.questions import (
    QuestionAnswered,
    QuestionAnsweredLate,
    QuestionAsked,
    QuestionCancelled,
    QuestionExpired,
)
from hyperhive.events.turns import TurnStarted
from hyperhive.projections.questions import Question, Status
from tests.language import DAWN, given, running

COLOUR: dict[str, Any] = {"id": 1, "asker": "manager", "question": "which colour?"}
ASKED = QuestionAsked(**COLOUR, options=("red", "green", "blue"))
ASKED_MULTI = QuestionAsked(**COLOUR, options=("red", "green", "blue"), multi=True)
ASKED_FREE = QuestionAsked(**COLOUR)
ASKED_SOON = QuestionAsked(**COLOUR, deadline_at=DAWN + 60_000_000)


def closed(status: Status, answer: str) -> Question:
    """A row as the table has it once the question is resolved."""
    return Question(**COLOUR, asked_at=DAWN, status=status, answer=answer, position=1, correlation=1)


class TestAsking:
    def test_ids_are_small_numbers(self) -> None:
        """The first question is number 1, the next one 2, whoever asks and whatever became of the first."""
        scene = (
            given()
            .when(AskQuestion(actor=MANAGER, question="a?"))
            .then(QuestionAsked(id=1, asker="manager", question="a?"))
        )
        scene = scene.when(CancelQuestion(actor=OPERATOR, question=1)).then(
            QuestionCancelled(id=1, asker="manager", question="a?")
        )
        scene.when(AskQuestion(actor=MANAGER, question="b?")).then(QuestionAsked(id=2, asker="manager", question="b?"))

    def test_deadline_is_asked_plus_ttl(self) -> None:
        """A time to live becomes a moment."""
        given().when(AskQuestion(actor=MANAGER, question="which colour?", ttl_seconds=60)).then(ASKED_SOON)

    def test_agents_ask_only_where_the_operator_allows_it(self) -> None:
        """An agent that is not the manager is refused, unless the host says that it may."""
        scene = given(*running("coder"))
        coder = actor_of_agent("coder")
        scene.when(AskQuestion(actor=coder, question="a?")).then_refused(Forbidden, match="write to the manager")
        scene.when(AskQuestion(actor=coder, question="a?", agents_may_ask=True)).then(
            QuestionAsked(id=1, asker="coder", question="a?")
        )

    @pytest.mark.parametrize(
        ("given_fields", "error", "match"),
        [
            ({"question": "  \n"}, Invalid, "empty question"),
            ({"question": "x" * 4_001}, TooLarge, "4001 characters; at most 4000"),
            ({"question": "a?", "options": tuple(map(str, range(21)))}, TooLarge, "21 options; at most 20"),
            ({"question": "a?", "options": ("x" * 201,)}, Invalid, "1 to 200 characters"),
            ({"question": "a?", "options": ("",)}, Invalid, "1 to 200 characters"),
            ({"question": "a?", "options": (" x",)}, Invalid, "no space around"),
            ({"question": "a?", "options": ("x", "y", "x")}, Invalid, "stands twice"),
            ({"question": "a?", "multi": True}, Invalid, "multi without options"),
            ({"question": "a?", "ttl_seconds": 0}, Invalid, "ttl_seconds is 0"),
            ({"question": "a?", "ttl_seconds": -5}, Invalid, "ttl_seconds is -5"),
        ],
    )
    def test_bad_questions(self, given_fields: dict[str, Any], error: type[Invalid], match: str) -> None:
        """Each limit is refused with what would be right."""
        given().when(AskQuestion(actor=MANAGER, **given_fields)).then_refused(error, match=match)

    def test_up_to_the_limits(self) -> None:
        """What is just within every limit is asked as it is."""
        options = tuple(f"{number:02}" + "é" * 198 for number in range(20))
        question, ttl = "\N{HONEYBEE}" * 4_000, 366 * 86_400
        command = AskQuestion(actor=MANAGER, question=question, options=options, multi=True, ttl_seconds=ttl)
        given().when(command).then(
            QuestionAsked(
                id=1,
                asker="manager",
                question=question,
                options=options,
                multi=True,
                deadline_at=DAWN + ttl * 1_000_000,
            )
        )

    def test_past_the_longest_time(self) -> None:
        """A deadline in more than a year is refused."""
        command = AskQuestion(actor=MANAGER, question="a?", ttl_seconds=366 * 86_400 + 1)
        given().when(command).then_refused(Invalid, match="leave it out for no deadline")

    def test_too_many_wait(self) -> None:
        """An agent may have so many questions open, and asks again once one is resolved."""
        asked = [QuestionAsked(id=n, asker="manager", question="?") for n in range(1, MAX_OPEN + 1)]
        scene = given(*asked)
        scene.when(AskQuestion(actor=MANAGER, question="one more?")).then_refused(Conflict, match="at most 20")
        scene.given(QuestionExpired(id=3, asker="manager", question="?")).when(
            AskQuestion(actor=MANAGER, question="one more?")
        ).then(QuestionAsked(id=MAX_OPEN + 1, asker="manager", question="one more?"))


class TestAnswering:
    @pytest.mark.parametrize(
        ("asked", "options", "text", "answer"),
        [
            (ASKED, ("green",), "", "green"),
            (ASKED, ("green",), " but dark ", "green, but dark"),
            (ASKED, (), "none of these", "none of these"),
            (ASKED_FREE, (), "purple", "purple"),
            (ASKED_MULTI, ("blue", "red"), "", "red, blue"),
            (ASKED_MULTI, ("blue", "red"), "and gold", "red, blue, and gold"),
            (ASKED_MULTI, ("red", "red"), "red", "red, red"),
            (ASKED, ("green", "green"), "", "green"),
            (ASKED_FREE, (), "two\nlines", "two\nlines"),
            (ASKED_FREE, (), "x" * 8_000, "x" * 8_000),
        ],
    )
    def test_one_string(self, asked: QuestionAsked, options: tuple[str, ...], text: str, answer: str) -> None:
        """Checked options in the order in which they were offered, then the free text, joined by a comma."""
        command = AnswerQuestion(actor=OPERATOR, question=1, options=options, text=text)
        given(asked).when(command).then(QuestionAnswered(**COLOUR, answer=answer))

    @pytest.mark.parametrize(
        ("options", "text", "match"),
        [
            ((), "  ", "empty answer"),
            (("mauve",), "", "'mauve' is not an option of question 1; it offers: red, green, blue"),
            (("red", "blue"), "", "takes one option; 2 were chosen"),
        ],
    )
    def test_bad_answers(self, options: tuple[str, ...], text: str, match: str) -> None:
        """What is no answer is refused, and the question stays open."""
        command = AnswerQuestion(actor=OPERATOR, question=1, options=options, text=text)
        scene = given(ASKED).when(command).then_refused(Invalid, match=match)
        assert scene.hive.questions[1].status is Status.OPEN

    def test_too_long(self) -> None:
        """A text past its limit is refused, and says what the limit is."""
        command = AnswerQuestion(actor=OPERATOR, question=1, text="x" * 8_001)
        given(ASKED).when(command).then_refused(TooLarge, match="8001 characters; at most 8000")

    def test_unknown(self) -> None:
        """A number that was never given is not found."""
        given(ASKED).when(AnswerQuestion(actor=OPERATOR, question=2, text="x")).then_refused(
            NotFound, match="question 2"
        )

    def test_nobody_but_people(self) -> None:
        """An agent cannot answer its own question."""
        given(ASKED).when(AnswerQuestion(actor=MANAGER, question=1, text="yes")).then_refused(
            Forbidden, match="manager"
        )


class TestFirstWins:
    @pytest.mark.parametrize(
        ("standing", "told"),
        [
            (closed(Status.ANSWERED, "red"), "question 1 was answered already: red"),
            (closed(Status.CANCELLED, "[cancelled]"), r"question 1 was cancelled already: \[cancelled\]"),
        ],
    )
    def test_second_ending_is_told_of_the_first(self, standing: Question, told: str) -> None:
        """Answer and cancel of a resolved question are conflicts that say how it stands."""
        scene = given(ASKED, QuestionCancelled(**COLOUR))
        for command in (
            AnswerQuestion(actor=OPERATOR, question=1, text="blue", closed=standing),
            CancelQuestion(actor=OPERATOR, question=1, closed=standing),
        ):
            scene.when(command).then_refused(Resolved, match=told)

    def test_resolved_and_not_looked_up(self) -> None:
        """Without the row the refusal says so much that the caller can look it up."""
        scene = given(ASKED, QuestionCancelled(**COLOUR))
        scene.when(AnswerQuestion(actor=OPERATOR, question=1, text="blue")).then_refused(Resolved, match="is resolved")

    def test_expiry_of_a_resolved_question_is_nothing(self) -> None:
        """The clock that comes second changes nothing."""
        scene = given(ASKED_SOON, QuestionAnswered(**COLOUR, answer="red"))
        scene.when(ExpireQuestion(actor=DAEMON, question=1)).then_nothing_happened()

    def test_expiry_without_a_deadline_is_nothing(self) -> None:
        """A question without a deadline never expires."""
        given(ASKED).when(ExpireQuestion(actor=DAEMON, question=1)).then_nothing_happened()

    def test_late_answer_is_a_note(self) -> None:
        """An answer to an expired question is kept and told, and the expiry stands."""
        scene = given(ASKED_SOON, QuestionExpired(**COLOUR))
        command = AnswerQuestion(actor=OPERATOR, question=1, text="red", closed=closed(Status.EXPIRED, "[expired]"))
        scene = scene.when(command).then(QuestionAnsweredLate(**COLOUR, answer="red"))
        bodies = [row.body for row in scene.hive.messages.group("manager").values()]
        assert bodies == [
            '{"event": "operator_answered", "id": 1, "question": "which colour?", "answer": "[expired]"}',
            '{"event": "operator_answered", "id": 1, "question": "which colour?", "answer": "red", "late": true}',
        ]


class TestTelling:
    @pytest.mark.parametrize(
        ("ending", "answer"),
        [
            (QuestionAnswered(**COLOUR, answer="red"), "red"),
            (QuestionExpired(**COLOUR), "[expired]"),
            (QuestionCancelled(**COLOUR), "[cancelled]"),
        ],
    )
    def test_each_ending_is_a_message(self, ending: QuestionAnswered, answer: str) -> None:
        """Whoever asked reads how it ended, from system."""
        (row,) = given(ASKED_SOON, ending).hive.messages.group("manager").values()
        assert (row.sender, row.body) == (
            "system",
            f'{{"event": "operator_answered", "id": 1, "question": "which colour?", "answer": "{answer}"}}',
        )

    def test_told_to_the_asker(self) -> None:
        """The answer goes to the agent that asked, not to the manager."""
        scene = given(
            QuestionAsked(id=1, asker="coder", question="?"),
            QuestionAnswered(id=1, asker="coder", question="?", answer="!"),
        )
        assert [key[0] for key in scene.hive.messages] == ["coder"]

    def test_chain_of_causes(self) -> None:
        """A question is caused by the turn that asked it, its ending by the question."""
        scene = given(TurnStarted(agent="manager"))
        asked = scene.when(AskQuestion(actor=MANAGER, question="which colour?")).then_caused_by(Cause(1, 1))
        scene = asked.then(ASKED_FREE)
        scene.when(AnswerQuestion(actor=OPERATOR, question=1, text="red")).then_caused_by(Cause(2, 1))
