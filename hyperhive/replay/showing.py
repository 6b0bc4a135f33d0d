"""A moment of the past as plain values: what ``/api/state`` shows of the present, and the mail of every agent."""

from __future__ import annotations

from typing import Any

from harness.wire import OPERATOR
from hyperhive.events.envelope import rfc3339
from hyperhive.projections import views
from hyperhive.projections.hive import Hive

State = dict[str, Any]
"""JSON-ready."""


def show(hive: Hive, at: int | None) -> State:
    """Show the whole hive as it stood after its last fact, which was written ``at``.

    Beyond `views.state`: ``at``; ``crashed``, the agents whose container stopped by a crash and was not started since;
    ``inboxes``, the undelivered mail of every agent. What tombstones take on disk is not in the log: null.
    """
    return {
        **views.state(hive),
        "at": None if at is None else rfc3339(at),
        "crashed": crashed(hive),
        "inboxes": inboxes(hive),
    }


def crashed(hive: Hive) -> list[str]:
    """Name the agents that a crash has stopped."""
    return sorted(row.name for row in hive.agents.values() if row.crashed)


def inboxes(hive: Hive) -> dict[str, list[dict[str, Any]]]:
    """Show the undelivered mail of every agent that has some, oldest first."""
    shown: dict[str, list[dict[str, Any]]] = {}
    for row in hive.messages.values():
        if row.to != OPERATOR:
            shown.setdefault(row.to, []).append(views.message_row(row))
    return dict(sorted(shown.items()))
