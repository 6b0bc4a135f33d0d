"""What each section of the dashboard shows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from harness.wire import OPERATOR
from hyperhive.projections import views
from hyperhive.projections.freeze import freeze_of
from hyperhive.web.sections import Section, Sight


def _bar(sight: Sight) -> Mapping[str, Any]:
    return {"waiting": len(sight.hive.questions), "frozen": freeze_of(sight.hive.freeze).frozen}


def _questions(sight: Sight) -> Mapping[str, Any]:
    return {"rows": [f"{row.asker}: {row.question}" for row in sight.hive.questions.values()]}


def _approvals(sight: Sight) -> Mapping[str, Any]:
    return {"rows": [f"{row.kind.value} {row.agent}" for row in sight.hive.approvals.values()]}


def _swarm(sight: Sight) -> Mapping[str, Any]:
    return {"rows": [f"{row['name']}: {row['pending'] or row['state']}" for row in views.agent_rows(sight.hive)]}


def _transients(sight: Sight) -> Mapping[str, Any]:
    return {"rows": [row["name"] for row in views.transients(sight.hive)]}


def _tombstones(sight: Sight) -> Mapping[str, Any]:
    return {"rows": [row["name"] for row in views.tombstone_rows(sight.hive, sight.kept)]}


def _kept(sight: Sight) -> Hashable:
    return tuple(sorted((name, repr(kept)) for name, kept in sight.kept.items()))


def _messages(sight: Sight) -> Mapping[str, Any]:
    inbox = [views.message_row(row) for row in sight.hive.messages.group(OPERATOR).values()]
    return {"inbox": inbox, "names": [row["name"] for row in views.agent_rows(sight.hive)]}


def _activity(sight: Sight) -> Mapping[str, Any]:
    newest = sight.history.newest(20)
    return {"rows": [f"{position} {type_name} {stream}" for position, stream, type_name, _at, _actor in newest]}


SECTIONS = (
    Section(name="bar", view=_bar, reads=frozenset({"agents", "sessions", "questions", "freeze"})),
    Section(name="questions", view=_questions, reads=frozenset({"questions"})),
    Section(name="approvals", view=_approvals, reads=frozenset({"approvals"})),
    Section(name="swarm", view=_swarm, reads=frozenset({"agents", "sessions", "messages"})),
    Section(name="transients", view=_transients, reads=frozenset({"agents"})),
    Section(name="tombstones", view=_tombstones, reads=frozenset({"agents"}), beside=_kept),
    Section(name="messages", view=_messages, reads=frozenset({"messages", "agents"})),
    Section(name="activity", view=_activity, reads=None),
)
