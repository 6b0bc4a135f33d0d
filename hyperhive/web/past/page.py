"""``GET /page/past``: the sections of the dashboard as they stood, beside what is so now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import msgspec
from markupsafe import Markup

from hyperhive.commands.errors import Refused
from hyperhive.events import codec
from hyperhive.events.envelope import rfc3339
from hyperhive.projections import views
from hyperhive.projections.approvals import Approval, Work
from hyperhive.projections.configurations import commit_of
from hyperhive.projections.history import History
from hyperhive.projections.questions import Question
from hyperhive.projections.sentences import person
from hyperhive.proposals.proposals import Proposals, Review
from hyperhive.replay.past import Event
from hyperhive.web.dashboard.sections import Dashboard
from hyperhive.web.dashboard.swarm import Shown
from hyperhive.web.past.asking import SPANS, Asked
from hyperhive.web.past.causes import as_json, listed, trunk
from hyperhive.web.past.reading import Reading
from hyperhive.web.past.then import Moment, stand
from hyperhive.web.sections import TEMPLATES, Page, Sight

SECTIONS = ("questions", "approvals", "swarm", "transients", "tombstones", "messages")
"""Those of the dashboard that show a moment."""
MOST_REVIEWS = 20
"""Approvals that waited at one moment and are shown with what they would have changed."""


@attrs.frozen(kw_only=True)
class Later:
    """How something that waited then ended."""

    who: str
    how: str
    at: str
    said: str = ""


@attrs.frozen(kw_only=True)
class Now:
    """What is so now, beside what was."""

    bar: Mapping[str, Any]
    agents: Mapping[str, str]
    """What each agent of then is now, in one word."""
    questions: Mapping[int, Later]
    approvals: Mapping[int, Later]
    names: tuple[str, ...]
    """Of all agents that there are or were, as far as the page knows."""


@attrs.frozen(kw_only=True)
class PastPage:
    """Renders moments. Folding and rendering happen in the thread of the past."""

    page: Page
    """The dashboard of now."""
    dashboard: Dashboard
    history: History
    proposals: Proposals
    reading: Reading

    async def whole(self, asked: Asked) -> bytes:
        """Return the page at a moment; raises what `Reading.ask` raises."""
        moment = await self.reading.ask(lambda past: stand(past, asked))
        moment = attrs.evolve(moment, reviews=await self._reviews(moment))
        now = self._now(moment)
        return await self.reading.ask(lambda _past: render(moment, now, self.dashboard).encode(errors="replace"))

    def bar(self) -> bytes:
        """Return the bar alone: it goes on counting what needs somebody now."""
        template = TEMPLATES.get_template("past/bar.html")
        return template.render(self._bar(), position=None, that_day=None).encode(errors="replace")

    def _bar(self) -> Mapping[str, Any]:
        return self.page.sections["bar"].view(self.page.sight(may_act=False))

    async def _reviews(self, moment: Moment) -> dict[int, Review | str]:
        found: dict[int, Review | str] = {}
        hive = moment.then.hive
        waiting = [row for _, row in sorted(hive.approvals.items()) if row.work is Work.DECIDE]
        for row in waiting[:MOST_REVIEWS]:
            try:
                found[row.id] = await self.proposals.looked_back(row, commit_of(hive.configurations, row.agent))
            except Refused as refused:
                found[row.id] = str(refused)
        return found

    def _now(self, moment: Moment) -> Now:
        sight = self.page.sight(may_act=False)
        hive = moment.then.hive
        gone = {row["name"]: "a tombstone" for row in views.tombstone_rows(sight.hive, {})}
        rows: list[Shown] = self.page.sections["swarm"].view(sight)["rows"]
        is_now = {row.name: "quarantined" if row.quarantined else row.state for row in rows}
        return Now(
            bar=self._bar(),
            agents={name: is_now.get(name) or gone.get(name, "gone") for name in hive.agents},
            questions=_ended({id_: _answered(self.history.question(id_)) for id_ in hive.questions}),
            approvals=_ended({id_: _decided(self.history.approval(id_)) for id_ in hive.approvals}),
            names=tuple(sorted({*hive.agents, *sight.hive.agents})),
        )


def render(moment: Moment, now: Now, dashboard: Dashboard) -> str:
    """Write the page; nothing of it can be pressed but what leads to other moments."""
    hive = moment.then.hive
    sight = Sight(hive=hive, history=moment.then, kept={}, may_act=False)
    at = moment.at or 0
    then = attrs.evolve(dashboard, reviews=moment, clock=lambda: at)
    sections = {section.name: section for section in then.sections() if section.name in SECTIONS}
    shared = {"now": now, "is_past": moment.position < moment.head, "may_act": False}
    written = {
        name: Markup(TEMPLATES.get_template(f"past/{name}.html").render(sections[name].view(sight), **shared))  # noqa: S704 - came out of autoescape
        for name in SECTIONS
    }
    bar = TEMPLATES.get_template("past/bar.html").render(
        now.bar, position=moment.position, that_day=then.bar(sight)["today"]
    )
    return TEMPLATES.get_template("past.html").render(
        sections=written,
        bar=Markup(bar),  # noqa: S704 - came out of autoescape
        moment=moment,
        at=rfc3339(moment.at) if moment.at is not None else None,
        now=now,
        trunk=trunk(moment.why) if moment.why else (),
        listed=list(listed(moment.why)) if moment.why else [],
        told=_told(moment),
        json=_json,
        timeline=[event_json(event) for event in moment.listed],
        types=sorted(codec.TYPES),
        spans=list(SPANS),
        at_past=True,
        stamp=rfc3339,
    )


def event_json(event: Event) -> dict[str, Any]:
    """Return an event as the JSON of the timeline has it."""
    return {**attrs.asdict(event, recurse=False), "at": rfc3339(event.at)}


def _told(moment: Moment) -> dict[str, Any]:
    """Return what the causes are as JSON: the fact itself, and its tree."""
    event = moment.scene.event
    return {
        "event": event_json(event) if event else None,
        "changed": [change.words for change in moment.scene.changes],
        "causes": as_json(moment.why) if moment.why else None,
    }


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode(errors="replace")


def _ended(found: Mapping[int, Later | None]) -> dict[int, Later]:
    return {id_: later for id_, later in found.items() if later is not None}


def _answered(row: Question | None) -> Later | None:
    if row is None or row.resolved_at is None:
        return None
    who = person(row.resolved_by).text if row.resolved_by else ""
    said = row.answer or "" if row.status.value == "answered" else ""
    how = "it expired" if row.status.value == "expired" else row.status.value
    return Later(who=who if how != "it expired" else "", how=how, at=rfc3339(row.resolved_at), said=said)


def _decided(row: Approval | None) -> Later | None:
    if row is None or row.resolved_at is None:
        return None
    who = person(row.resolved_by).text if row.resolved_by else ""
    how = {"cancelled": "it gave way to another one", "failed": f"approved, and it failed: {row.error}"}
    return Later(
        who=who,
        how=how.get(row.status.value, row.status.value),
        at=rfc3339(row.resolved_at),
        said=row.operator_note or "",
    )
