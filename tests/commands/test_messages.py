"""Deciding about mail."""

from __future__ import annotations

import pytest

from harness.wire import BATCH_MAX_BYTES, BATCH_MAX_MESSAGES, MAX_BODY_BYTES
from hyperhive.commands.errors import Conflict, Invalid, NotFound, TooLarge
from hyperhive.commands.messages import (
    INBOX_MAX_MESSAGES,
    MAX_DELIVERIES,
    AcknowledgeMail,
    RequeueMessage,
    SendMessage,
    TakeMail,
)
from hyperhive.events.agents import DestroyRequested, DestroySucceeded, SpawnRequested
from hyperhive.events.envelope import MANAGER, OPERATOR, Actor, Cause, Fact, Role, actor_of_agent
from hyperhive.events.messages import (
    MessageRequeued,
    MessagesAcknowledged,
    MessageSent,
    MessagesHandedOver,
    MessagesParked,
)
from tests.language import Scene, given, running

CODER = actor_of_agent("coder")
HIVE = (SpawnRequested(agent="coder"), SpawnRequested(agent="reviewer"), SpawnRequested(agent="manager"))
"""Three agents whose inboxes are empty: the kick comes with a start."""
FIRST = len(HIVE) + 1
"""The id of the first message sent in it."""


def mail(*bodies: str, to: str = "coder") -> tuple[Fact, ...]:
    """Return messages of the operator's."""
    return tuple(MessageSent(to=to, sender="operator", body=body) for body in bodies)


def take(*holding: int) -> TakeMail:
    """Return coder's wish for mail."""
    return TakeMail(actor=CODER, to="coder", holding=frozenset(holding))


def handed_over(*ids: int) -> MessagesHandedOver:
    """Return the fact that coder was given these."""
    return MessagesHandedOver(to="coder", ids=ids)


def delivered(times: int) -> Scene:
    """Return a scene in which coder's one message was handed over so often and never acknowledged."""
    scene = given(*HIVE, *mail("do it"))
    for _ in range(times):
        scene = scene.when(take()).then(handed_over(FIRST))
    return scene


class TestSend:
    """Writing to somebody."""

    @pytest.mark.parametrize(
        ("actor", "sender"),
        [
            (OPERATOR, "operator"),
            (Actor(Role.OPERATOR, "anna"), "operator:anna"),
            (MANAGER, "manager"),
            (actor_of_agent("reviewer"), "reviewer"),
        ],
        ids=str,
    )
    def test_sender_is_the_actor(self, actor: Actor, sender: str) -> None:
        """The sender is whoever the command came from; no command can name another."""
        command = SendMessage(actor=actor, to="coder", body="hello")
        given(*HIVE).when(command).then(MessageSent(to="coder", sender=sender, body="hello"))

    def test_to_the_operator(self) -> None:
        """The operator has an inbox though there is no such agent."""
        command = SendMessage(actor=CODER, to="operator", body="done")
        given(*HIVE).when(command).then(MessageSent(to="operator", sender="coder", body="done"))

    def test_to_oneself(self) -> None:
        """An agent may leave itself a message."""
        command = SendMessage(actor=CODER, to="coder", body="later")
        given(*HIVE).when(command).then(MessageSent(to="coder", sender="coder", body="later"))

    @pytest.mark.parametrize("name", ["nobody", "system", "", "Coder", "../coder"])
    def test_unknown_recipient(self, name: str) -> None:
        """A name that is no agent's is refused, and the refusal tells whose names there are."""
        command = SendMessage(actor=CODER, to=name, body="hello")
        given(*HIVE).when(command).then_refused(NotFound, match="there are: coder, manager, reviewer")

    def test_destroyed_recipient(self) -> None:
        """A tombstone reads no mail."""
        destroyed = (*running("old"), DestroyRequested(agent="old"), DestroySucceeded(agent="old"))
        command = SendMessage(actor=CODER, to="old", body="hello")
        given(*HIVE, *destroyed).when(command).then_refused(NotFound, match="old is destroyed; spawn it")

    def test_revived_recipient(self) -> None:
        """Mail to a tombstone that is being revived waits for it."""
        revived = (*running("old"), DestroyRequested(agent="old"), DestroySucceeded(agent="old"))
        scene = given(*revived, SpawnRequested(agent="old"))
        scene.when(SendMessage(actor=OPERATOR, to="old", body="hi")).then(
            MessageSent(to="old", sender="operator", body="hi"),
        )

    def test_empty(self) -> None:
        """A message without a body is refused."""
        given(*HIVE).when(SendMessage(actor=OPERATOR, to="coder", body="")).then_refused(Invalid, match="empty")

    @pytest.mark.parametrize("letter", ["x", "é", "🐝"])
    def test_size_is_in_bytes(self, letter: str) -> None:
        """A body may have just as many bytes as the wire says, however many characters those are."""
        fitting = letter * (MAX_BODY_BYTES // len(letter.encode()))
        given(*HIVE).when(SendMessage(actor=OPERATOR, to="coder", body=fitting)).then(*mail(fitting))
        given(*HIVE).when(SendMessage(actor=OPERATOR, to="coder", body=fitting + letter)).then_refused(
            TooLarge,
            match=f"{MAX_BODY_BYTES + len(letter.encode())} bytes; at most {MAX_BODY_BYTES}",
        )

    def test_full_inbox(self) -> None:
        """Agents cannot pile up mail without end; the operator always gets through."""
        full = given(*HIVE, *mail(*["x"] * INBOX_MAX_MESSAGES))
        full.when(SendMessage(actor=MANAGER, to="coder", body="y")).then_refused(
            Conflict, match="inbox of coder is full"
        )
        full.when(SendMessage(actor=OPERATOR, to="coder", body="y")).then(*mail("y"))
        full.when(SendMessage(actor=CODER, to="reviewer", body="y")).then(
            MessageSent(to="reviewer", sender="coder", body="y"),
        )

    def test_full_inbox_drains(self) -> None:
        """What is delivered makes room again."""
        ids = tuple(range(FIRST, FIRST + 10))
        drained = given(*HIVE, *mail(*["x"] * INBOX_MAX_MESSAGES), handed_over(*ids))
        drained = drained.given(MessagesAcknowledged(to="coder", ids=ids))
        drained.when(SendMessage(actor=MANAGER, to="coder", body="y")).then(
            MessageSent(to="coder", sender="manager", body="y"),
        )


class TestTake:
    """Handing mail over."""

    def test_empty_inbox(self) -> None:
        """Where nothing waits, nothing happens."""
        given(*HIVE).when(take()).then_nothing_happened()

    def test_oldest_first(self) -> None:
        """All that waits is handed over, in the order in which it was sent."""
        given(*HIVE, *mail("a", "b", "c")).when(take()).then(handed_over(FIRST, FIRST + 1, FIRST + 2))

    def test_only_one_s_own(self) -> None:
        """Mail to others stays with them."""
        given(*HIVE, *mail("a"), *mail("b", to="reviewer")).when(take()).then(handed_over(FIRST))

    def test_holding(self) -> None:
        """What the running turn holds already is not handed over to it a second time."""
        scene = given(*HIVE, *mail("a", "b")).when(take()).then(handed_over(FIRST, FIRST + 1))
        scene.when(take(FIRST, FIRST + 1)).then_nothing_happened()
        scene.given(*mail("c")).when(take(FIRST, FIRST + 1)).then(handed_over(FIRST + 3))

    def test_again_after_a_crash(self) -> None:
        """Who holds nothing any more gets the same ids again, marked as redelivered."""
        scene = given(*HIVE, *mail("a")).when(take()).then(handed_over(FIRST))
        assert not scene.hive.messages["coder", FIRST].redelivered
        scene = scene.when(take()).then(handed_over(FIRST))
        assert scene.hive.messages["coder", FIRST].redelivered

    def test_acknowledged_never_again(self) -> None:
        """What was acknowledged is not handed over any more."""
        scene = given(*HIVE, *mail("a", "b")).when(take()).then(handed_over(FIRST, FIRST + 1))
        scene = scene.given(MessagesAcknowledged(to="coder", ids=(FIRST,)))
        scene.when(take()).then(handed_over(FIRST + 1))

    def test_count_limit(self) -> None:
        """One batch has a limited number of messages; the rest comes with the next."""
        scene = given(*HIVE, *mail(*["x"] * (BATCH_MAX_MESSAGES + 1)))
        first = tuple(range(FIRST, FIRST + BATCH_MAX_MESSAGES))
        scene = scene.when(take()).then(handed_over(*first))
        scene.when(take(*first)).then(handed_over(FIRST + BATCH_MAX_MESSAGES))

    def test_size_limit(self) -> None:
        """One batch has a limited number of bytes of UTF-8, all of them used."""
        half = "é" * (BATCH_MAX_BYTES // 4)
        given(*HIVE, *mail(half, half, "x")).when(take()).then(handed_over(FIRST, FIRST + 1))

    def test_first_always_fits(self) -> None:
        """A body of the largest size that can be sent is handed over."""
        given(*HIVE, *mail("x" * MAX_BODY_BYTES, "y")).when(take()).then(handed_over(FIRST, FIRST + 1))

    def test_cause_is_the_newest_message(self) -> None:
        """A hand-over follows from the newest of its messages, and belongs to that one's chain."""
        scene = given(*HIVE, *mail("a", "b"))
        scene.when(take()).then_caused_by(Cause(causation=FIRST + 1, correlation=FIRST + 1))


class TestParking:
    """What is handed over too often."""

    @pytest.mark.parametrize("times", range(1, MAX_DELIVERIES))
    def test_not_before_the_limit(self, times: int) -> None:
        """Before that a message comes again each time."""
        delivered(times).when(take()).then(handed_over(FIRST))

    def test_after_five(self) -> None:
        """After five hand-overs without an acknowledgement a message is parked, and not handed over again."""
        assert MAX_DELIVERIES == 5
        scene = delivered(5).when(take()).then(MessagesParked(to="coder", ids=(FIRST,)))
        assert scene.hive.messages["coder", FIRST].parked_at is not None
        scene.when(take()).then_nothing_happened()

    def test_not_while_held(self) -> None:
        """The turn that works on the fifth hand-over is not robbed of it."""
        delivered(MAX_DELIVERIES).when(take(FIRST)).then_nothing_happened()

    def test_the_inbox_goes_on(self) -> None:
        """What waits behind a parked message is handed over in the same moment, and that is what causes it."""
        scene = delivered(MAX_DELIVERIES).given(*mail("next"))
        later = scene.position
        outcome = scene.when(take()).then_caused_by(Cause(causation=later, correlation=later))
        outcome.then(handed_over(later), MessagesParked(to="coder", ids=(FIRST,)))

    def test_acknowledged_late(self) -> None:
        """A turn that ends after its mail was parked still delivers it."""
        parked = delivered(MAX_DELIVERIES).when(take()).then(MessagesParked(to="coder", ids=(FIRST,)))
        ack = AcknowledgeMail(actor=CODER, to="coder", ids=(FIRST,))
        scene = parked.when(ack).then(MessagesAcknowledged(to="coder", ids=(FIRST,)))
        assert ("coder", FIRST) not in scene.hive.messages

    def test_requeue(self) -> None:
        """The operator puts it back; it then has all its deliveries before it again."""
        parked = delivered(MAX_DELIVERIES).when(take()).then(MessagesParked(to="coder", ids=(FIRST,)))
        requeue = RequeueMessage(actor=OPERATOR, to="coder", message=FIRST)
        scene = parked.when(requeue).then(MessageRequeued(to="coder", id=FIRST))
        scene = scene.when(take()).then(handed_over(FIRST))
        assert not scene.hive.messages["coder", FIRST].redelivered

    def test_requeue_twice(self) -> None:
        """A message that waits already stays where it is."""
        given(*HIVE, *mail("a")).when(RequeueMessage(actor=OPERATOR, to="coder", message=FIRST)).then_nothing_happened()

    @pytest.mark.parametrize("message", [FIRST - 1, FIRST + 1, -1, 2**70])
    def test_requeue_of_nothing(self, message: int) -> None:
        """An id that is no undelivered message of that inbox is refused."""
        requeue = RequeueMessage(actor=OPERATOR, to="coder", message=message)
        given(*HIVE, *mail("a")).when(requeue).then_refused(NotFound, match=f"no undelivered message {message} in")


class TestAcknowledge:
    """The end of the turn that had the mail."""

    def test_delivers(self) -> None:
        """Acknowledged mail is delivered, and leaves the open rows."""
        scene = given(*HIVE, *mail("a", "b")).when(take()).then(handed_over(FIRST, FIRST + 1))
        ack = AcknowledgeMail(actor=CODER, to="coder", ids=(FIRST, FIRST + 1))
        scene = scene.when(ack).then(MessagesAcknowledged(to="coder", ids=(FIRST, FIRST + 1)))
        assert not scene.hive.messages.group("coder")

    def test_once(self) -> None:
        """Acknowledging again, or one id twice in one command, is no second fact."""
        scene = given(*HIVE, *mail("a")).when(take()).then(handed_over(FIRST))
        ack = AcknowledgeMail(actor=CODER, to="coder", ids=(FIRST, FIRST))
        scene.when(ack).then(MessagesAcknowledged(to="coder", ids=(FIRST,))).when(ack).then_nothing_happened()

    def test_never_handed_over(self) -> None:
        """Nobody delivers by acknowledging what it has not been given, nor what is not there."""
        ack = AcknowledgeMail(actor=CODER, to="coder", ids=(FIRST, 99, -1, 2**70))
        given(*HIVE, *mail("a")).when(ack).then_nothing_happened()

    def test_not_another_s(self) -> None:
        """An id in somebody else's inbox is not touched."""
        scene = given(*HIVE, *mail("b", to="reviewer"), MessagesHandedOver(to="reviewer", ids=(FIRST,)))
        scene.when(AcknowledgeMail(actor=CODER, to="coder", ids=(FIRST,))).then_nothing_happened()

    def test_kick_has_its_own_recipients(self) -> None:
        """A start is a message to the agent and one to the manager, of one id; each is acknowledged by itself."""
        scene = given(*running("manager", "coder"))
        id_ = scene.position
        assert {to for to, found in scene.hive.messages if found == id_} == {"coder", "manager"}
        scene = scene.when(take()).then(handed_over(id_))
        ack = AcknowledgeMail(actor=CODER, to="coder", ids=(id_,))
        scene = scene.when(ack).then(MessagesAcknowledged(to="coder", ids=(id_,)))
        assert ("manager", id_) in scene.hive.messages
