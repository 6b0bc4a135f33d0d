"""Deciding about mail: sending, handing over, acknowledging, parking."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from harness.wire import BATCH_MAX_BYTES, BATCH_MAX_MESSAGES, MAX_BODY_BYTES, OPERATOR
from hyperhive.commands.command import Command
from hyperhive.commands.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge
from hyperhive.events.envelope import Fact, Recorded, Role
from hyperhive.events.messages import (
    MessageDropped,
    MessageRefused,
    MessageRequeued,
    MessagesAcknowledged,
    MessageSent,
    MessagesHandedOver,
    MessagesParked,
)
from hyperhive.projections.agents import State
from hyperhive.projections.configurations import settings_of
from hyperhive.projections.freeze import freeze_of
from hyperhive.projections.hive import Hive
from hyperhive.projections.messages import Message
from hyperhive.projections.sessions import spent_on

MAX_DELIVERIES = 5
"""After so many hand-overs without an acknowledgement a message is parked."""
INBOX_MAX_MESSAGES = 1_000
"""What agents may leave undelivered in one inbox; the operator and the host may always write."""


@attrs.frozen(kw_only=True)
class SendMessage(Command):
    """Write to somebody."""

    to: str
    body: str


@attrs.frozen(kw_only=True)
class TakeMail(Command):
    """Hand over what waits in an inbox; ``holding`` are the ids that its owner's running turn has already."""

    to: str
    holding: frozenset[int] = frozenset()


@attrs.frozen(kw_only=True)
class AcknowledgeMail(Command):
    """The turn with these messages has ended."""

    to: str
    ids: tuple[int, ...]


@attrs.frozen(kw_only=True)
class RequeueMessage(Command):
    """Put a parked message back into its inbox."""

    to: str
    message: int


@attrs.frozen(kw_only=True)
class DropMessage(Command):
    """Give a parked message up: it is never delivered."""

    to: str
    message: int


def send(hive: Hive, command: SendMessage) -> list[Fact]:
    """Append the message; raise `NotFound` for an unknown or destroyed recipient.

    A refusal by the sender's configuration is a fact and no error, so that the operator sees it; the surface makes an
    error of it (`refused_send`).
    """
    size = len(command.body.encode())
    if size == 0:
        raise Invalid("an empty message; write something")
    if size > MAX_BODY_BYTES:
        raise TooLarge(f"a message of {size} bytes; at most {MAX_BODY_BYTES} are allowed (put the rest into a file)")
    to = _inbox(hive, command.to)
    if to != OPERATOR:
        require_agent(hive, to)
    by_agent = command.actor.role in (Role.AGENT, Role.MANAGER)
    if by_agent and len(hive.messages.group(to)) >= INBOX_MAX_MESSAGES:
        raise Conflict(f"the inbox of {to} is full ({INBOX_MAX_MESSAGES} undelivered); try again later")
    sender = command.actor.agent or str(command.actor)
    allowed = settings_of(hive.configurations, sender).recipients if by_agent else None
    if allowed is not None and to not in allowed:
        return [MessageRefused(to=to, sender=sender)]
    return [MessageSent(to=to, sender=sender, body=command.body)]


def _inbox(hive: Hive, to: str) -> str:
    """Return whose inbox that is: people have one together, also where one of them is answered by name."""
    role, colon, name = to.partition(":")
    if not colon or role != OPERATOR:
        return to
    if name not in hive.operators:
        raise NotFound(f"no operator {name[:80]!r}; write to {OPERATOR}, whose inbox all operators read")
    return OPERATOR


def refused_send(sent: Sequence[Recorded]) -> None:
    """Raise `Forbidden` where what followed from a `SendMessage` is its refusal."""
    if isinstance(sent[0].event, MessageRefused):
        refused = sent[0].event
        raise Forbidden(f"{refused.sender} may not write to {refused.to}: its configuration names whom it may write to")


def take(hive: Hive, command: TakeMail) -> list[Fact]:
    """Hand over the oldest waiting messages, and park what was handed over too often.

    Nothing follows where nothing waits, nor while the owner is paused or the hive is frozen, nor on a day on which its
    turns have cost what they may.
    """
    if is_held(hive, command.to) or is_over_budget(hive, command.to, command.at):
        return []
    waiting = [
        row
        for row in hive.messages.group(command.to).values()
        if row.parked_at is None and row.id not in command.holding
    ]
    tired = tuple(row.id for row in waiting if row.deliveries >= MAX_DELIVERIES)
    batch = _batch([row for row in waiting if row.deliveries < MAX_DELIVERIES])
    facts: list[Fact] = []
    if batch:
        facts.append(MessagesHandedOver(to=command.to, ids=batch))
    if tired:
        facts.append(MessagesParked(to=command.to, ids=tired))
    return facts


def is_held(hive: Hive, name: str) -> bool:
    """Whether an agent's turn loop is parked."""
    agent = hive.agents.get(name)
    return freeze_of(hive.freeze).frozen or (agent is not None and agent.paused)


def is_over_budget(hive: Hive, name: str, at: int) -> bool:
    """Whether an agent's turns have cost what they may on this day."""
    limit = settings_of(hive.configurations, name).usd_per_day
    return limit is not None and spent_on(hive.sessions.get(name), at) >= limit


def _batch(waiting: list[Message]) -> tuple[int, ...]:
    ids: list[int] = []
    size = 0
    for row in waiting[:BATCH_MAX_MESSAGES]:
        size += len(row.body.encode())
        if ids and size > BATCH_MAX_BYTES:
            break
        ids.append(row.id)
    return tuple(ids)


def acknowledge(hive: Hive, command: AcknowledgeMail) -> list[Fact]:
    """Mark what was handed over as delivered; ids that are delivered or were never handed over change nothing."""
    return acknowledged(hive, command.to, command.ids)


def acknowledged(hive: Hive, to: str, ids: tuple[int, ...]) -> list[Fact]:
    """Return the fact that these messages are delivered, for those of them that were handed over and still are open.

    The operator reads and takes nothing: what is in its inbox needs no hand-over.
    """
    mail = hive.messages.group(to)
    rows = [row for id_ in dict.fromkeys(ids) if (row := mail.get((to, id_))) is not None]
    open_ids = tuple(row.id for row in rows if row.deliveries > 0 or to == OPERATOR)
    return [MessagesAcknowledged(to=to, ids=open_ids)] if open_ids else []


def requeue(hive: Hive, command: RequeueMessage) -> list[Fact]:
    """Put a parked message back; one that waits already stays where it is."""
    row = hive.messages.get((command.to, command.message))
    if row is None:
        raise NotFound(f"no undelivered message {command.message} in the inbox of {command.to}")
    return [MessageRequeued(to=command.to, id=command.message)] if row.parked_at is not None else []


def drop(hive: Hive, command: DropMessage) -> list[Fact]:
    """Give a parked message up; one that still may be delivered is a `Conflict`."""
    row = hive.messages.get((command.to, command.message))
    if row is None:
        raise NotFound(f"no undelivered message {command.message} in the inbox of {command.to}")
    if row.parked_at is None:
        raise Conflict(f"message {command.message} to {command.to} is not parked; it is still to be delivered")
    return [MessageDropped(to=command.to, id=command.message)]


def require_agent(hive: Hive, name: str) -> None:
    """Raise `NotFound` unless there is such an agent, or soon will be."""
    agent = hive.agents.get(name)
    if agent is None:
        known = ", ".join(sorted(name for name, row in hive.agents.items() if row.state is not State.DESTROYED))
        raise NotFound(f"no agent {name!r}; there are: {known or 'none yet'}")
    if agent.state is State.DESTROYED and agent.pending is None:
        raise NotFound(f"{name} is destroyed; spawn it again to revive it")
