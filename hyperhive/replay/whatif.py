"""What if: the past decided anew by the real deciders, without some facts or by another rule."""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Iterable

import attrs

from hyperhive.commands.approvals import Deny
from hyperhive.commands.command import Command
from hyperhive.commands.decide import cause_of, decide
from hyperhive.commands.errors import Refused
from hyperhive.commands.questions import CancelQuestion, ExpireQuestion
from hyperhive.events.envelope import DAEMON, OPERATOR, Fact, Recorded
from hyperhive.projections.agents import CRASHES_KEPT
from hyperhive.projections.configurations import Configuration
from hyperhive.projections.hive import Hive
from hyperhive.projections.projection import evolve
from hyperhive.projections.questions import Status
from hyperhive.replay.changes import Change, changes
from hyperhive.replay.deciding import Decision, Gone, Quarantine, Setting, command_of, decisions
from hyperhive.replay.showing import show
from hyperhive.replay.telling import told

MOST = 200
"""Differences that are listed one by one; all are counted."""
MAX_SECONDS = 366 * 86_400

RULES = (
    f"quarantine.crashes=N (1 to {CRASHES_KEPT})",
    "quarantine.seconds=N",
    "budget:AGENT=USD (a day)",
    "approval:ID=denied",
    "question:ID=cancelled",
    "question:ID=expired",
)
"""What may be altered."""


class BadRule(Exception):  # noqa: N818
    """A rule that there is not."""

    code = "invalid"


class Kind(enum.StrEnum):
    """How the altered past differs at one place."""

    REMOVED = "removed"
    """As was asked."""
    GONE = "gone"
    """What led to it, or what it was about, is not there any more."""
    REFUSED = "refused"
    """The decider would have refused it."""
    CHANGED = "changed"
    """The decider would have decided otherwise."""


@attrs.frozen(kw_only=True)
class Difference:
    """One place at which the altered past differs."""

    position: int
    """On record."""
    kind: Kind
    words: str
    """What is on record."""
    instead: tuple[str, ...] = ()
    """What there would be."""
    reason: str = ""


@attrs.frozen(kw_only=True)
class Alteration:
    """What is altered."""

    without: frozenset[int] = frozenset()
    quarantine: Quarantine = attrs.field(factory=Quarantine)
    budgets: dict[str, float] = attrs.field(factory=dict)
    """By agent: what its turns may cost in a day, whatever its configuration says."""
    endings: dict[tuple[str, int], str] = attrs.field(factory=dict)
    """By category and id: ``denied``, ``cancelled`` or ``expired`` in the place of how it was decided."""


@attrs.frozen(kw_only=True)
class Altered:
    """What would differ."""

    first: int
    last: int
    """The positions that were decided anew."""
    counts: dict[Kind, int]
    differences: tuple[Difference, ...]
    """The first of them."""
    changes: tuple[Change, ...]
    """From the hive as it is on record to the hive as it would be, at the end."""
    unknown: tuple[str, ...]
    """What cannot be known, in words."""


def read_rules(rules: Iterable[str], *, without: Iterable[int] = ()) -> Alteration:
    """Read rules as people write them; raises `BadRule`."""
    quarantine = Quarantine()
    endings, budgets = dict[tuple[str, int], str](), dict[str, float]()
    for rule in rules:
        name, equals, value = rule.partition("=")
        category, _, id_ = name.partition(":")
        limit = {"quarantine.crashes": CRASHES_KEPT, "quarantine.seconds": MAX_SECONDS}.get(name)
        if equals and limit is not None:
            if not value.isdecimal() or not 1 <= int(value) <= limit:
                raise BadRule(f"{name} is {value!r}; a number from 1 to {limit} would be right")
            quarantine = attrs.evolve(quarantine, **{name.partition(".")[2]: int(value)})
        elif value in _ENDINGS.get(category, ()) and re.fullmatch("[0-9]{1,9}", id_):
            endings[category, int(id_)] = value
        elif category == "budget" and id_ and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value):
            budgets[id_] = float(value)
        else:
            raise BadRule(f"there is no rule {rule!r}; there are: {', '.join(RULES)}")
    return Alteration(without=frozenset(without), quarantine=quarantine, budgets=budgets, endings=endings)


def what_if(start: Hive, also: Hive, facts: Iterable[Recorded], alteration: Alteration) -> Altered:
    """Decide a past anew from where both hives stand (the same place; both are folded on)."""
    return _Past(start, also, alteration).run(facts)


class _Past:
    def __init__(self, recorded: Hive, altered: Hive, alteration: Alteration) -> None:
        self._alteration = alteration
        self._recorded = Setting(hive=recorded, recorded=recorded)
        self._altered = Setting(hive=altered, recorded=recorded, quarantine=alteration.quarantine)
        self._lost: set[int] = set()
        """Positions on record that the altered past does not have."""
        self._strange: set[str] = set()
        """Agents that read something else than is on record."""
        self._counts: Counter[Kind] = Counter()
        self._listed: list[Difference] = []
        self._kept: Counter[str] = Counter()
        self._beyond = 0
        """The last position of a fact that is only in the altered past."""

    def run(self, facts: Iterable[Recorded]) -> Altered:
        first, last = self._recorded.hive.position + 1, self._recorded.hive.position
        at = None
        self._limit()
        for decision in decisions(facts):
            self._beyond = max(self._beyond, 1 << 40)  # beyond any position, so that ids on record stay theirs
            self._once_more(decision)
            for fact in decision.facts:
                _close(self._recorded, fact)
                self._recorded.hive.fold(fact)
            last, at = decision.facts[-1].position, decision.facts[-1].at
        before, after = show(self._recorded.hive, at), show(self._altered.hive, at)
        return Altered(
            first=first,
            last=last,
            counts=dict(self._counts),
            differences=tuple(self._listed),
            changes=tuple(changes(before, after)),
            unknown=self._unknown(),
        )

    def _limit(self) -> None:
        """Let the budgets be those that were asked for, whatever the configurations say."""
        rows = self._altered.hive.configurations
        for agent, usd in self._alteration.budgets.items():
            row: Configuration | None = rows.get(agent)
            if row is not None and row.settings.usd_per_day != usd:
                rows.put(agent, evolve(row, settings=attrs.evolve(row.settings, usd_per_day=usd)))

    def _once_more(self, decision: Decision) -> None:
        first = decision.first
        if any(fact.position in self._alteration.without for fact in decision.facts):
            self._lose(decision, Kind.REMOVED)
            return
        if first.causation is not None and first.causation in self._lost:
            self._lose(decision, Kind.GONE, reason=f"{first.causation} led to it")
            return
        if not self._known(decision):
            self._keep(decision)
            return
        try:
            command = self._command(decision)
            assert command is not None  # noqa: S101 - it is known
            decided = decide(self._altered.hive, command)
        except Gone as gone:
            self._lose(decision, Kind.GONE, reason=str(gone))
        except Refused as refused:
            self._lose(decision, Kind.REFUSED, reason=str(refused))
        else:
            self._settle(decision, command, decided)

    def _command(self, decision: Decision) -> Command | None:
        """Return the command as it would be given in the altered past."""
        event = decision.first.event
        category = decision.first.stream.partition("-")[0]
        ending = self._alteration.endings.get((category, getattr(event, "id", 0)))
        if ending is None or decision.first.type not in _DECIDED:
            return command_of(decision, self._altered)
        if category == "approval":
            return Deny(actor=OPERATOR, approval=self._altered.approval(event.id), at=decision.first.at)
        number = self._altered.question(event.id)
        if ending == "expired":
            return ExpireQuestion(actor=DAEMON, question=number, at=decision.first.at)
        return CancelQuestion(actor=OPERATOR, question=number, at=decision.first.at)

    def _known(self, decision: Decision) -> bool:
        """Whether today's deciders, asked the same in the hive as it really stood, come to what is on record."""
        try:
            command = command_of(decision, self._recorded)
            return command is not None and tuple(decide(self._recorded.hive, command)) == tuple(
                fact.event for fact in decision.facts
            )
        except (Gone, Refused):
            return False

    def _keep(self, decision: Decision) -> None:
        """Keep facts of which it is not known how they were decided."""
        self._kept[decision.first.type] += 1
        for fact in decision.facts:
            self._fold(fact, decision)

    def _settle(self, decision: Decision, command: Command, decided: list[Fact]) -> None:
        on_record = [fact.event for fact in decision.facts]
        if not decided:
            self._lose(decision, Kind.GONE, reason="it would have changed nothing")
            return
        cause = cause_of(self._altered.hive, command, decided)
        altered: list[Recorded] = []
        for number, event in enumerate(decided):
            if number < len(decision.facts):
                fact = decision.facts[number]
                changed = evolve(fact, event=event, type=type(event).__name__, stream=event.stream)
            else:
                self._beyond += 1
                changed = evolve(
                    decision.facts[-1],
                    position=self._beyond,
                    event=event,
                    type=type(event).__name__,
                    stream=event.stream,
                )
            altered.append(changed if cause is None else evolve(changed, causation=cause.causation))
        self._lost |= {fact.position for fact in decision.facts[len(decided) :]}
        if not _alike(on_record, decided):
            self._note(decision, Kind.CHANGED, instead=tuple(told(fact) for fact in altered))
        self._mark_readers(decision, decided)
        if decision.first.type == "QuestionAsked":
            self._altered.questions[decision.first.event.id] = getattr(decided[0], "id", 0)
        if decision.first.type == "ApprovalRequested":
            self._altered.approvals[decision.first.event.id] = getattr(decided[0], "id", 0)
        for fact in altered:
            self._fold(fact, decision)

    def _fold(self, fact: Recorded, decision: Decision) -> None:
        try:
            _close(self._altered, fact)
            self._altered.hive.fold(fact)
            self._limit()
        except KeyError:  # a fact that nobody decides anew, about what is not there any more
            self._lose(decision, Kind.GONE, reason="what it is about is not there")

    def _mark_readers(self, decision: Decision, decided: list[Fact]) -> None:
        """Remember agents that were handed something else than is on record: their models would answer otherwise."""
        for fact, event in zip(decision.facts, decided, strict=False):
            if fact.type in ("MessagesHandedOver", "TurnStarted") and fact.event != event:
                self._strange.add(getattr(event, "agent", getattr(event, "to", "")))

    def _lose(self, decision: Decision, kind: Kind, *, reason: str = "") -> None:
        self._lost |= {fact.position for fact in decision.facts}
        self._note(decision, kind, reason=reason)
        if decision.first.type in ("MessagesHandedOver", "TurnStarted"):
            event = decision.first.event
            self._strange.add(getattr(event, "agent", getattr(event, "to", "")))

    def _note(self, decision: Decision, kind: Kind, *, reason: str = "", instead: tuple[str, ...] = ()) -> None:
        self._counts[kind] += 1
        if len(self._listed) < MOST:
            self._listed.append(
                Difference(
                    position=decision.first.position,
                    kind=kind,
                    words="; ".join(told(fact) for fact in decision.facts),
                    instead=instead,
                    reason=reason,
                )
            )

    def _unknown(self) -> tuple[str, ...]:
        said = []
        if self._strange:
            names = ", ".join(sorted(self._strange))
            said.append(
                f"what the models of {names} would have answered: they would have read something else than they did. "
                "What they did in turns that still take place is kept as it is on record"
            )
        if self._counts:
            said.append("what people and the manager would have done on seeing another hive")
            said.append("what would have happened to containers, files and the network")
        said += [
            f"how {count} {type_name} would have been decided: kept as on record"
            for type_name, count in self._kept.items()
        ]
        return tuple(said)


_ENDINGS = {"question": ("cancelled", "expired"), "approval": ("denied",)}
_DECIDED = ("QuestionAnswered", "QuestionCancelled", "QuestionExpired", "ApprovalGranted")
_COUNTED = ("question-", "approval-")

_ENDED = {
    "QuestionAnswered": Status.ANSWERED,
    "QuestionExpired": Status.EXPIRED,
    "QuestionCancelled": Status.CANCELLED,
}


def _close(setting: Setting, fact: Recorded) -> None:
    """Remember a question that is about to be resolved: memory keeps the open ones alone."""
    status = _ENDED.get(fact.type)
    row = None if status is None else setting.hive.questions.get(fact.event.id)
    if row is not None:
        setting.closed[row.id] = evolve(row, status=status)


def _alike(on_record: list[Fact], decided: list[Fact]) -> bool:
    """Whether two decisions are one but for what is counted: generations, ids of questions and approvals."""
    if [type(event) for event in on_record] != [type(event) for event in decided]:
        return False
    return all(_uncounted(a) == _uncounted(b) for a, b in zip(on_record, decided, strict=True))


def _uncounted(event: Fact) -> Fact:
    numbered = event.stream.startswith(_COUNTED)
    fields = {
        field.name: 0
        for field in attrs.fields(type(event))  # type: ignore[arg-type] # every event class is one of attrs
        if field.name == "generation" or (field.name in ("id", "by") and numbered)
    }
    return attrs.evolve(event, **fields) if fields else event  # type: ignore[misc] # as above
