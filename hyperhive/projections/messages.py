"""View ``messages``: every inbox, with what the host itself has to say in it.

A system message is folded from the fact it tells of: a successful start kicks the agent, a crash is a message to the
manager. So no message can be forgotten between a fact and its telling.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from harness.wire import MANAGER, OPERATOR, SYSTEM
from hyperhive.events import agents, approvals, egress, hive, messages, questions, turns
from hyperhive.events.envelope import Recorded
from hyperhive.projections import egress as egress_view
from hyperhive.projections.projection import Change, Fold, FrozenRow, Projection, Rows, Sweep, evolve
from hyperhive.projections.questions import CANCELLED, EXPIRED

KICK = (
    "You were just (re)started. Check /state/ for your notes. "
    "Your session is intact: what you were told before still stands."
)


class Message(FrozenRow, frozen=True, kw_only=True):
    """One message in one inbox; ``id`` is the position of the fact that made it."""

    to: str
    id: int
    sender: str
    body: str
    at: int
    correlation: int
    deliveries: int = 0
    """How often it was handed over."""
    delivered_at: int | None = None
    """When the turn that received it ended."""
    parked_at: int | None = None
    """Since when it waits for the operator, handed over too often."""
    discarded_at: int | None = None
    """When its recipient was purged before it was delivered, or the operator gave it up."""

    @property
    def redelivered(self) -> bool:
        """Whether its newest hand-over was not its first."""
        return self.deliveries > 1


def is_open(row: Message) -> bool:
    """Whether it still has to be delivered (or is parked)."""
    return row.delivered_at is None and row.discarded_at is None


def _system(recorded: Recorded, to: str, body: str) -> Change:
    row = Message(
        to=to,
        id=recorded.position,
        sender=SYSTEM,
        body=body,
        at=recorded.at,
        correlation=recorded.correlation,
    )
    return (to, recorded.position), row


def _helper(recorded: Recorded, event: str, *, to: str = MANAGER, **detail: object) -> Change:
    body = json.dumps({"event": event, **detail}, ensure_ascii=False)
    return _system(recorded, to, body)


def _sent(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    return (((recorded.event.to, recorded.position), _message(recorded)),)


def _message(recorded: Recorded, *, deliveries: int = 0) -> Message:
    event: messages.MessageSent = recorded.event
    return Message(
        to=event.to,
        id=recorded.position,
        sender=event.sender,
        body=event.body,
        at=recorded.at,
        correlation=recorded.correlation,
        deliveries=deliveries,
    )


def _each(*, stamp: str) -> Fold:
    """Write down the time in a field of every message that the fact names."""

    def fold(rows: Rows, recorded: Recorded) -> Iterable[Change]:
        to, now = recorded.event.to, {stamp: recorded.at}
        return [
            (key, evolve(row, **now)) for id_ in recorded.event.ids if (row := rows.get(key := (to, id_))) is not None
        ]

    return fold


def _handed_over(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    to = recorded.event.to
    return [
        (key, evolve(row, deliveries=row.deliveries + 1))
        for id_ in recorded.event.ids
        if (row := rows.get(key := (to, id_))) is not None
    ]


def _requeued(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event = recorded.event
    key = (event.to, event.id)
    row = rows.get(key)
    return ((key, evolve(row, parked_at=None, deliveries=0)),) if row is not None else ()


def _dropped(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event = recorded.event
    key = (event.to, event.id)
    row = rows.get(key)
    return ((key, evolve(row, discarded_at=recorded.at)),) if row is not None else ()


def _outcome(name: str, *, kick: bool = False) -> Fold:
    """Tell the manager of an outcome that is not its own, and kick an agent that was just started."""

    def fold(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
        event = recorded.event
        changes: list[Change] = []
        if kick:
            changes.append(_system(recorded, event.agent, KICK))
        if event.agent != MANAGER:
            error = getattr(event, "error", None)
            detail = {"ok": True} if error is None else {"ok": False, "error": error}
            changes.append(_helper(recorded, name, agent=event.agent, **detail))
        return changes

    return fold


def _killed(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    agent = recorded.event.agent
    return (_helper(recorded, "killed", agent=agent),) if agent != MANAGER else ()


def _crashed(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    return (_helper(recorded, "container_crash", agent=recorded.event.agent),)


def _quarantined(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event = recorded.event
    told = _helper(recorded, "quarantined", agent=event.agent, crashes=event.crashes)
    return (told,) if event.agent != MANAGER else ()


def _login_needed(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    agent = recorded.event.agent
    return (_helper(recorded, "needs_login", agent=agent),) if agent != MANAGER else ()


def _servers_failed(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event = recorded.event
    if not event.servers or event.agent == MANAGER:
        return ()
    return (
        _helper(
            recorded, "tool_servers_failed", agent=event.agent, servers=list(event.servers), errors=list(event.errors)
        ),
    )


def _budget_exhausted(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event = recorded.event
    if event.agent == MANAGER:
        return ()
    told = {"usd_per_day": event.usd_per_day, "spent_usd": round(event.spent_usd, 4)}
    return (_helper(recorded, "budget_exhausted", agent=event.agent, **told),)


def _egress_blocked(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event = recorded.event
    host = egress_view.shown(event.host, event.port)
    hint = (
        f"If {event.agent} needs it, add {host!r} to [egress] hosts in its proposed agent.toml and ask the operator "
        "for that commit to be applied. Ask yourself first what made it want to go there."
    )
    return (_helper(recorded, "egress_blocked", agent=event.agent, host=host, count=event.count, hint=hint),)


def _question_resolved(answer: str | None = None, *, late: bool = False) -> Fold:
    """Tell whoever asked; the endings differ in the answer alone, and a late one says so."""

    def fold(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
        event = recorded.event
        told = {"id": event.id, "question": event.question, "answer": answer or event.answer}
        if (person := _person(recorded.actor)) is not None:
            told["by"] = person
        if late:
            told["late"] = True
        return (_helper(recorded, "operator_answered", to=event.asker, **told),)

    return fold


def _approval_resolved(status: str) -> Fold:
    """Tell whoever asked. What the operator asked for and granted at once, nobody waits to hear of."""

    def fold(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
        event = recorded.event
        if event.requester == OPERATOR:
            return ()
        told = {"id": event.id, "agent": event.agent, "kind": event.kind.value, "status": status}
        note = event.error if status == "failed" else getattr(event, "note", "") or None
        if status == "cancelled":
            note = f"a newer request took its place: {event.by}"
        if (person := _person(recorded.actor)) is not None:
            told["by"] = person
        return (_helper(recorded, "approval_resolved", to=event.requester, **told, note=note),)

    return fold


def _person(actor: str) -> str | None:
    """Return the name of an operator who is known as a person."""
    role, _, name = actor.partition(":")
    return name or None if role == OPERATOR else None


def _destroyed(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event = recorded.event
    changes = list(_outcome("destroyed")(rows, recorded))
    if event.purge:
        mail = rows.group(event.agent).items()
        changes += [(key, evolve(row, discarded_at=recorded.at)) for key, row in mail]
    return changes


def _forgotten(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    before = recorded.event.before
    return [(Sweep(column, before), None) for column in CLOSINGS]


class _Mail:
    """Inboxes while many facts are folded: what is sent and acknowledged in between never becomes a row."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._sent: dict[str, dict[int, list[Recorded]]] = {}
        """By recipient and id: what sent it, and each hand-over since."""
        self.folds: dict[type, Callable[[Recorded], None]] = {
            messages.MessageSent: self._send,
            messages.MessagesHandedOver: self._hand_over,
            messages.MessagesAcknowledged: self._acknowledge,
        }

    def _send(self, recorded: Recorded) -> None:
        to = recorded.event.to
        if (inbox := self._sent.get(to)) is None:
            inbox = self._sent[to] = {}
        inbox[recorded.position] = [recorded]

    def _hand_over(self, recorded: Recorded) -> None:
        event: messages.MessagesHandedOver = recorded.event
        inbox = self._sent.get(event.to, _NONE)
        earlier = False
        for id_ in event.ids:
            if (sent := inbox.get(id_)) is None:
                earlier = True
            elif sent[-1] is not recorded:  # which may name it twice
                sent.append(recorded)
        if earlier:
            for key, row in _handed_over(self._rows, recorded):
                self._rows.put(key, row)

    def _acknowledge(self, recorded: Recorded) -> None:
        event: messages.MessagesAcknowledged = recorded.event
        inbox = self._sent.get(event.to, _NONE)
        for id_ in event.ids:
            if inbox.pop(id_, None) is None:
                self._rows.drop((event.to, id_))

    def settle(self) -> None:
        """Make rows of the mail that is still there."""
        left = [sent for inbox in self._sent.values() for sent in inbox.values()]
        for sent, *handed in sorted(left, key=lambda each: each[0].position):
            self._rows.put((sent.event.to, sent.position), _message(sent, deliveries=len(handed)))
        self._sent.clear()


_NONE: dict[int, list[Recorded]] = {}


CLOSINGS = ("delivered_at", "discarded_at")
"""What closes a message; so many days later it is forgotten."""

MESSAGES = Projection(
    name="messages",
    row=Message,
    key=("to", "id"),
    is_open=is_open,
    by_arrival=True,
    bulk=_Mail,
    swept=CLOSINGS,
    folds={
        hive.MessagesForgotten: _forgotten,
        messages.MessageSent: _sent,
        messages.MessagesHandedOver: _handed_over,
        messages.MessagesAcknowledged: _each(stamp="delivered_at"),
        messages.MessagesParked: _each(stamp="parked_at"),
        messages.MessageRequeued: _requeued,
        messages.MessageDropped: _dropped,
        agents.SpawnSucceeded: _outcome("spawned", kick=True),
        agents.SpawnFailed: _outcome("spawned"),
        agents.StartSucceeded: _outcome("started", kick=True),
        agents.StartFailed: _outcome("started"),
        agents.RestartSucceeded: _outcome("restarted", kick=True),
        agents.RestartFailed: _outcome("restarted"),
        agents.RebuildSucceeded: _outcome("rebuilt", kick=True),
        agents.RebuildFailed: _outcome("rebuilt"),
        agents.KillSucceeded: _killed,
        agents.KillFailed: _outcome("killed"),
        agents.DestroySucceeded: _destroyed,
        agents.DestroyFailed: _outcome("destroyed"),
        agents.ContainerCrashed: _crashed,
        agents.AgentQuarantined: _quarantined,
        turns.LoginNeeded: _login_needed,
        turns.ToolServersFailed: _servers_failed,
        turns.BudgetExhausted: _budget_exhausted,
        approvals.ApprovalGranted: _approval_resolved("approved"),
        approvals.ApprovalDenied: _approval_resolved("denied"),
        approvals.ApprovalSuperseded: _approval_resolved("cancelled"),
        approvals.ApprovalFailed: _approval_resolved("failed"),
        egress.EgressBlocked: _egress_blocked,
        questions.QuestionAnswered: _question_resolved(),
        questions.QuestionExpired: _question_resolved(EXPIRED),
        questions.QuestionCancelled: _question_resolved(CANCELLED),
        questions.QuestionAnsweredLate: _question_resolved(late=True),
    },
)
