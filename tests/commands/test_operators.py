"""Deciding about people."""

from __future__ import annotations

import pytest

from hyperhive.commands.errors import Conflict, Forbidden, Invalid, NotFound
from hyperhive.commands.messages import SendMessage
from hyperhive.commands.operators import AddOperator, RemoveOperator
from hyperhive.commands.questions import AnswerQuestion
from hyperhive.events.envelope import OPERATOR, Actor, Role, actor_of_agent
from hyperhive.events.messages import MessageSent
from hyperhive.events.operators import OperatorAdded, OperatorRemoved
from hyperhive.events.questions import QuestionAnswered, QuestionAsked
from tests.language import given, running

ANN = Actor(Role.OPERATOR, "ann")
BOB = Actor(Role.VIEWER, "bob")
ADDED = OperatorAdded(operator="ann", role="operator", key_hash="00")


def add(name: str = "ann") -> AddOperator:
    """Return the wish to let somebody in."""
    return AddOperator(actor=OPERATOR, name=name, role="operator", key_hash="00")


def test_add_and_remove() -> None:
    """Somebody is let in, and out again; then the name is free."""
    there = given().when(add()).then(ADDED)
    gone = there.when(RemoveOperator(actor=ANN, name="ann")).then(OperatorRemoved(operator="ann"))
    gone.when(add()).then(ADDED)


def test_twice() -> None:
    """Who is there keeps the key: nobody's is replaced unseen."""
    given(ADDED).when(add()).then_refused(Conflict, match="remove and add again for a new key")


def test_unknown() -> None:
    """Who is not there cannot be removed."""
    given(ADDED).when(RemoveOperator(actor=OPERATOR, name="bob")).then_refused(NotFound, match="there are: ann")


@pytest.mark.parametrize(
    "name", ["operator", "viewer", "manager", "agent", "daemon", "system", "", "Ann", "a b", "a:b", "-a"]
)
def test_names(name: str) -> None:
    """A person's name is no role's, and such that the log can say it."""
    given().when(add(name)).then_refused(Invalid, match=r"person's")


def test_viewers_may_nothing() -> None:
    """A viewer may give no command at all, not even for a key of their own."""
    for command in (
        SendMessage(actor=BOB, to="coder", body="x"),
        AddOperator(actor=BOB, name="eve", role="operator", key_hash="00"),
        AnswerQuestion(actor=BOB, question=1, text="x"),
    ):
        given(*running("coder")).when(command).then_refused(Forbidden, match="^viewer:bob may not ")


def test_answered_by_name() -> None:
    """An agent may answer whom it read of: people have one inbox. Who is not there is told."""
    coder = actor_of_agent("coder")
    there = given(*running("coder"), ADDED)
    sent = MessageSent(to="operator", sender="coder", body="done")
    there.when(SendMessage(actor=coder, to="operator:ann", body="done")).then(sent)
    there.when(SendMessage(actor=coder, to="operator:eve", body="x")).then_refused(NotFound, match="write to operator")
    there.when(SendMessage(actor=coder, to="viewer:bob", body="x")).then_refused(NotFound, match="no agent")


def test_the_asker_reads_who() -> None:
    """An answer says by whom, where that is a person with a name."""
    asked = QuestionAsked(id=1, asker="coder", question="which?")
    answered = QuestionAnswered(id=1, asker="coder", question="which?", answer="this")
    told = []
    for actor in (ANN, OPERATOR):
        scene = (
            given(*running("coder"), asked).when(AnswerQuestion(actor=actor, question=1, text="this")).then(answered)
        )
        told.append(list(scene.hive.messages.group("coder").values())[-1].body)
    assert told == [
        '{"event": "operator_answered", "id": 1, "question": "which?", "answer": "this", "by": "ann"}',
        '{"event": "operator_answered", "id": 1, "question": "which?", "answer": "this"}',
    ]
