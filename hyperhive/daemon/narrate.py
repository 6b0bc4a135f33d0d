"""Each fact as a line of the daemon's diagnostics: who, in which stream, in which chain; never a body."""

from __future__ import annotations

import structlog

from hyperhive.events.envelope import Recorded

log = structlog.get_logger("facts")

_NEWS = ("agent-", "hive-", "question-")
"""The streams that an operator wants to read of; mail and turns are said only where somebody debugs."""


def narrate(facts: list[Recorded]) -> None:
    """Say what happened, once it is durable."""
    for fact in facts:
        say = log.info if fact.stream.startswith(_NEWS) else log.debug
        say(
            fact.type,
            position=fact.position,
            stream=fact.stream,
            actor=fact.actor,
            correlation=fact.correlation,
        )
