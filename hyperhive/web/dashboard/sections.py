"""The dashboard's sections: what each template is given, from the hive as it stands."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import attrs

from harness.wire import MANAGER, OPERATOR
from hyperhive.events.envelope import rfc3339
from hyperhive.projections import views
from hyperhive.projections.agents import AGENTS
from hyperhive.projections.approvals import APPROVALS, Work
from hyperhive.projections.configurations import CONFIGURATIONS
from hyperhive.projections.freeze import FREEZE, freeze_of
from hyperhive.projections.hive import Hive
from hyperhive.projections.identity import IDENTITY
from hyperhive.projections.messages import MESSAGES
from hyperhive.projections.projection import Projection
from hyperhive.projections.questions import QUESTIONS
from hyperhive.projections.sentences import person
from hyperhive.projections.sessions import DAY, SESSIONS, spent_on
from hyperhive.web.dashboard import activity
from hyperhive.web.dashboard.approvals import asked, decided
from hyperhive.web.dashboard.reviews import Reviewing
from hyperhive.web.dashboard.swarm import Shown, shown
from hyperhive.web.sections import Section, Sight

SHOWN_MAIL = 20
SHOWN_RESOLVED = 3
FRESH_POSITIONS = 5_000
"""A log longer than that is past its first steps, whatever it holds."""

View = Callable[[Sight], Mapping[str, Any]]
Beside = Callable[[Sight], Hashable]


def _nothing(_sight: Sight) -> Hashable:
    return None


def _kept(sight: Sight) -> Hashable:
    return tuple(sorted((name, repr(kept)) for name, kept in sight.kept.items()))


def size(found: int | None, *, whole: bool | None) -> str | None:
    """Show a number of bytes; None where it is not known yet."""
    if found is None:
        return None
    number, unit = float(found), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if number < 1_000:
            break
        number, unit = number / 1_000, larger
    shown = f"{number:.1f}" if number < 10 and unit in ("MB", "GB", "TB") else f"{number:.0f}"
    return f"{shown} {unit}" if whole else f"over {shown} {unit}"


@attrs.frozen(kw_only=True)
class Dashboard:
    """What the sections need besides what they are shown."""

    name: str
    """Of the hive, as people call it."""
    reviews: Reviewing
    clock: Callable[[], int]
    """Microseconds since 1970."""

    def sections(self) -> tuple[Section, ...]:
        """Return the sections in the order of reading."""

        def section(name: str, view: View, *reads: Projection, beside: Beside = _nothing) -> Section:
            names = frozenset(projection.name for projection in reads) if reads else None
            return Section(name=name, view=view, reads=names, beside=beside)

        return (
            section("bar", self.bar, AGENTS, SESSIONS, QUESTIONS, APPROVALS, MESSAGES, FREEZE, beside=self._day),
            section("steps", self.steps, AGENTS, SESSIONS, MESSAGES),
            section("questions", self.questions, QUESTIONS),
            section("approvals", self.approvals, APPROVALS, CONFIGURATIONS, AGENTS, beside=self._reviewed),
            section("swarm", self.swarm, AGENTS, SESSIONS, MESSAGES, CONFIGURATIONS, IDENTITY, beside=self._day),
            section("transients", self.transients, AGENTS),
            section("tombstones", self.tombstones, AGENTS, beside=_kept),
            section("messages", self.messages, MESSAGES, AGENTS),
            section("activity", self.activity),
        )

    def _day(self, _sight: Sight) -> Hashable:
        return self.clock() // DAY

    def bar(self, sight: Sight) -> dict[str, Any]:
        """Show what needs somebody, how many think, what today has cost."""
        hive = sight.hive
        freeze = freeze_of(hive.freeze)
        rows = views.agent_rows(hive)
        counts = (
            Need(len(hive.questions), "question", "questions", "#questions", "amber"),
            Need(
                sum(row.work is Work.DECIDE for row in hive.approvals.values()),
                "approval",
                "approvals",
                "#approvals",
                "amber",
            ),
            Need(sum(row["needs_login"] for row in rows), "needs login", "need login", "#swarm", "amber"),
            Need(sum(row["quarantined"] for row in rows), "quarantined", "quarantined", "#swarm", "red"),
            Need(len(_parked(sight)), "parked mail", "parked mails", "#messages", "amber"),
        )
        return {
            "name": self.name,
            "frozen": freeze if freeze.frozen else None,
            "frozen_at": rfc3339(freeze.at) if freeze.at else None,
            "frozen_by": person(freeze.by).text if freeze.by else None,
            "needs": [count for count in counts if count.number],
            "thinking": sum(row["status"] == "thinking" for row in rows),
            "count": len(rows),
            "waiting_mail": sum(row["undelivered"] for row in rows),
            "today": sum(spent_on(session, self.clock()) for session in hive.sessions.values()),
        }

    def questions(self, sight: Sight) -> dict[str, Any]:
        """Show what waits for an answer, and what has just stopped waiting."""
        return {
            "questions": [views.question_row(row) for _, row in sorted(sight.hive.questions.items())],
            "resolved": [views.question_row(row) for row in sight.history.resolved(SHOWN_RESOLVED)],
        }

    def steps(self, sight: Sight) -> dict[str, Any]:
        """Show the first steps, in a hive that nobody has told anything yet."""
        return {"steps": self._steps(sight)}

    def _steps(self, sight: Sight) -> list[Step]:
        hive = sight.hive
        alone = set(hive.agents) <= {MANAGER}
        if not alone or hive.position > FRESH_POSITIONS or sight.history.has_written(OPERATOR):
            return []
        session = hive.sessions.get(MANAGER)
        logged_in = session is not None and not session.needs_login and session.turns > session.failed_turns
        return [
            Step("the hive runs, and its log has begun", done=True),
            Step(
                "claude is logged in for manager"
                if logged_in
                else "log claude in for manager: hyperhive login manager",
                done=logged_in,
            ),
            Step("tell manager what you want done. it asks you for the agents that it needs", done=False, writes=True),
        ]

    def _reviewed(self, _sight: Sight) -> Hashable:
        return self.reviews.known()

    def approvals(self, sight: Sight) -> dict[str, Any]:
        """Show what waits for a decision with what it would change, and what has just been decided."""
        hive = sight.hive
        rows = [row for _, row in sorted(hive.approvals.items())]
        under_way = {row.id: row for row in rows if row.work in (Work.APPLY, Work.BUILD)}
        newest = {row.id: row for row in sight.history.decided(SHOWN_RESOLVED)} | under_way
        return {
            "rows": [asked(row, self.reviews.of(row)) for row in rows if row.work is Work.DECIDE],
            "resolved": [decided(row, _pending_of(hive, row.agent)) for _, row in sorted(newest.items())],
        }

    def swarm(self, sight: Sight) -> dict[str, Any]:
        """Show every container."""
        rows = self._rows(sight)
        return {
            "rows": rows,
            "thinking": sum(row.state == "thinking" for row in rows),
            "outdated": [row.name for row in rows if row.needs_update and not row.pending],
        }

    def _rows(self, sight: Sight) -> list[Shown]:
        hive, history = sight.hive, sight.history
        rows = views.agent_rows(hive)
        now = self.clock()
        intents = {name: row.pending_position for name, row in hive.agents.items() if row.pending_position}
        actors = history.actors(intents.values()) if intents else {}
        return [
            shown(
                row,
                today=spent_on(hive.sessions.get(row["name"]), now),
                asked_by=actors.get(intents.get(row["name"], 0)),
                trouble=history.trouble(row["name"]) if row["failed"] or row["quarantined"] else None,
                configured=hive.configurations.get(row["name"]) is not None,
            )
            for row in rows
        ]

    def transients(self, sight: Sight) -> dict[str, Any]:
        """Show what is done to agents that have no container."""
        hive = sight.hive
        rows = views.transients(hive)
        positions = {row["name"]: hive.agents[row["name"]].pending_position for row in rows if row["pending"]}
        actors = sight.history.actors(positions.values()) if positions else {}
        asked = {name: person(actors[position]).text for name, position in positions.items() if position in actors}
        return {"rows": rows, "asked": asked}

    def tombstones(self, sight: Sight) -> dict[str, Any]:
        """Show what destroyed agents left."""
        rows = views.tombstone_rows(sight.hive, sight.kept)
        return {"rows": [{**row, "size": size(row["size_bytes"], whole=row["size_whole"])} for row in rows]}

    def messages(self, sight: Sight) -> dict[str, Any]:
        """Show the operator's mail, what is parked, and to whom one may write."""
        mail = [views.message_row(row) for row in sight.history.recent(OPERATOR, SHOWN_MAIL)]
        parked = [views.message_row(row) for row in _parked(sight)]
        return {
            "unread": [row["id"] for row in mail if row["delivered_at"] is None and row["parked_at"] is None],
            "oldest": mail[-1]["id"] if mail else 0,
            "recipients": [row["name"] for row in views.agent_rows(sight.hive, coming=True)],
            "mail": sorted([*mail, *(row for row in parked if row["to"] != OPERATOR)], key=lambda row: -row["id"]),
            "older": max(0, sight.history.count(OPERATOR) - len(mail)),
        }

    def activity(self, sight: Sight) -> dict[str, Any]:
        """Show the newest facts in words."""
        found = activity.told(sight.history.activity(activity.READ))
        return {
            "facts": found.rows,
            "older": found.older,
            "agents": sorted({row["name"] for row in views.agent_rows(sight.hive)}),
        }


@attrs.frozen
class Need:
    """Something of which there are so many, and which waits for somebody."""

    number: int
    one: str
    many: str
    link: str
    tone: str

    @property
    def text(self) -> str:
        """What there are so many of."""
        return self.one if self.number == 1 else self.many


@attrs.frozen
class Step:
    """One of the first steps."""

    text: str
    done: bool = attrs.field(kw_only=True)
    writes: bool = attrs.field(default=False, kw_only=True)
    """Whether it is done by writing to the manager."""


def _pending_of(hive: Hive, name: str) -> str | None:
    agent = hive.agents.get(name)
    return agent.pending.value if agent is not None and agent.pending is not None else None


def _parked(sight: Sight) -> list[Any]:
    return [row for row in sight.hive.messages.values() if row.parked_at is not None]
