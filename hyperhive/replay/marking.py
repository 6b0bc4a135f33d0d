"""Whom a fact is about, and whether it stands out on a track."""

from __future__ import annotations

import enum

from hyperhive.events.envelope import Recorded


class Kind(enum.StrEnum):
    """What stands out."""

    CRASH = "crash"
    APPROVAL = "approval"
    QUESTION = "question"


def kind_of(fact: Recorded) -> Kind | None:
    """Return what a fact stands out as, by its type and its stream's category."""
    if fact.type == "ContainerCrashed":
        return Kind.CRASH
    category = fact.stream.partition("-")[0]
    if category in (Kind.APPROVAL, Kind.QUESTION):
        return Kind(category)
    return None


def agent_of(fact: Recorded) -> str | None:
    """Return the agent that a fact is about: whose container, turn or inbox it is, or who asked."""
    for name in ("agent", "to", "asker"):
        found = getattr(fact.event, name, None)
        if found is not None:
            return str(found)
    return None


def actor_agent(actor: str) -> str:
    """Return the agent that an actor is; for people and the daemon, the actor itself."""
    return actor.removeprefix("agent:")
