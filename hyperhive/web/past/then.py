"""One moment of the past, made ready to be shown by the sections of the dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from harness.wire import OPERATOR
from hyperhive.events.agents import Failed
from hyperhive.events.envelope import Recorded, rfc3339
from hyperhive.events.messages import MessageSent
from hyperhive.projections.approvals import Approval
from hyperhive.projections.hive import Hive
from hyperhive.projections.messages import Message
from hyperhive.projections.questions import Question
from hyperhive.projections.sentences import TELLERS, Sentence, Word, sentence
from hyperhive.proposals.proposals import Review
from hyperhive.replay.past import Event, Filter, Node, Past, Scene
from hyperhive.web.past.asking import Asked

SHOWN_FACTS = 45
SHOWN_MAIL = 20
_TROUBLE = ("ContainerCrashed", "AgentQuarantined")
_LOOKED_BACK = 40


@attrs.frozen(kw_only=True)
class Then:
    """What the log had told by a position, read in one go: nothing of it asks the log again."""

    hive: Hive
    position: int
    mail: tuple[Message, ...]
    troubles: Mapping[str, Recorded]
    acted: Mapping[int, str]

    def recent(self, name: str, limit: int) -> list[Message]:
        """Return the operator's mail, the newest first."""
        return [row for row in self.mail if row.to == name][:limit]

    def count(self, name: str) -> int:
        """Return how many of them there are to show."""
        return len(self.recent(name, SHOWN_MAIL))

    def resolved(self, _limit: int) -> list[Question]:
        """Return nothing: what had just ended is for whoever looked then."""
        return []

    def decided(self, _limit: int) -> list[Approval]:
        """Return nothing, for the same reason."""
        return []

    def activity(self, _limit: int) -> list[Recorded]:
        """Return nothing: the page lists events by its own filter."""
        return []

    def trouble(self, name: str) -> Recorded | None:
        """Return what had gone wrong with an agent."""
        return self.troubles.get(name)

    def actors(self, positions: Iterable[int]) -> Mapping[int, str]:
        """Return whose facts these are."""
        return {position: self.acted[position] for position in positions if position in self.acted}

    def has_written(self, _actor_role: str) -> bool:
        """Whether the first steps are over; they are of now."""
        return True


@attrs.frozen(kw_only=True)
class Line:
    """One event of the list."""

    position: int
    at: str
    type: str
    said: Sentence


@attrs.frozen(kw_only=True)
class Moment:
    """Everything that the page shows of a moment, but for what is so now."""

    asked: Asked
    position: int
    head: int
    at: int | None
    """Microseconds since 1970; None before the first fact."""
    then: Then
    scene: Scene
    why: Node | None
    lines: tuple[Line, ...]
    listed: tuple[Event, ...]
    older: int | None
    """Where the list goes on."""
    reviews: Mapping[int, Review | str] = attrs.field(factory=dict)

    def of(self, row: Approval) -> Review | str | None:
        """Return what an approval would have changed then."""
        return self.reviews.get(row.id, "what it would have changed cannot be shown any more")

    def known(self) -> tuple[tuple[int, str | None, str | None], ...]:
        """Return nothing: a moment does not change."""
        return ()


def stand(past: Past, asked: Asked) -> Moment:
    """Stand at a moment. Heavy: for the thread of the past."""
    position = asked.position(past)
    head = max(past.head, position)
    scene = past.scene(position)
    hive = past.hive(position)
    page = past.events(asked.filter, before=position + 1, most=SHOWN_FACTS)
    facts = past.recorded(event.position for event in page.events)
    return Moment(
        asked=asked,
        position=position,
        head=head,
        at=past.time_of(position),
        then=_then(past, hive, position),
        scene=scene,
        why=past.why(str(position)) if position else None,
        lines=tuple(_line(event, facts[event.position]) for event in page.events),
        listed=page.events,
        older=page.next,
    )


def _then(past: Past, hive: Hive, position: int) -> Then:
    wrong = [row.name for row in hive.agents.values() if row.crashed or row.error is not None or row.quarantined]
    troubles = {name: found for name in wrong if (found := _trouble(past, name, position)) is not None}
    intents = [row.pending_position for row in hive.agents.values() if row.pending_position]
    acted = {at: fact.actor for at, fact in past.recorded(intents).items()}
    return Then(hive=hive, position=position, mail=tuple(_mail(past, hive, position)), troubles=troubles, acted=acted)


def _trouble(past: Past, name: str, position: int) -> Recorded | None:
    facts = past.in_stream(f"agent-{name}", until=position, most=_LOOKED_BACK)
    return next((fact for fact in facts if fact.type in _TROUBLE or isinstance(fact.event, Failed)), None)


def _mail(past: Past, hive: Hive, position: int) -> Iterable[Message]:
    """Yield the operator's newest mail; what was open then as it stood, and what was read already."""
    open_ = dict(hive.messages.group(OPERATOR))
    sent = past.in_stream(f"inbox-{OPERATOR}", until=position, most=SHOWN_MAIL, types=("MessageSent",))
    read = {fact.position: _read(fact) for fact in sent if isinstance(fact.event, MessageSent)}
    by_id = read | {row.id: row for row in open_.values()}
    return [by_id[id_] for id_ in sorted(by_id, reverse=True)]


def _read(fact: Recorded) -> Message:
    event: MessageSent = fact.event
    return Message(
        to=event.to,
        id=fact.position,
        sender=event.sender,
        body=event.body,
        at=fact.at,
        correlation=fact.correlation,
        delivered_at=fact.at,  # at some time after it: the page shows only whether
    )


def _line(event: Event, fact: Recorded) -> Line:
    known = fact.type == type(fact.event).__name__ and type(fact.event) in TELLERS
    said = sentence(fact) if known else Sentence(words=(Word(event.words),))
    return Line(position=event.position, at=rfc3339(event.at), type=event.type, said=said)


def jumped(past: Past, asked: Asked, kinds: tuple[str, ...], by: int) -> tuple[int | None, int | None]:
    """Return the next position of some kinds (of any that the filter lets through, where none are named).

    With it where a search for a text has to go on, where it did not come to an end in its time.
    """
    position = asked.position(past)
    wanted = Filter(types=kinds, agent=asked.agent or None) if kinds else asked.filter
    ends = {"before": position} if by < 0 else {"after": position}
    page = past.events(wanted, most=1, **ends)
    return (page.events[0].position, None) if page.events else (None, page.next)
