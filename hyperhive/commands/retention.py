"""Deciding about what is forgotten: the daemon says what is old, and what it has removed outside."""

from __future__ import annotations

import attrs

from hyperhive.commands.command import Command
from hyperhive.commands.errors import Invalid
from hyperhive.events import hive as facts
from hyperhive.events.envelope import Fact
from hyperhive.projections.hive import Hive


@attrs.frozen(kw_only=True)
class ForgetMessages(Command):
    """Let messages that were closed before a moment leave the inboxes; ``count`` of them were found."""

    before: int
    count: int


@attrs.frozen(kw_only=True)
class ReportStreamsTrimmed(Command):
    """So many events of these agents' turn streams were removed."""

    agents: tuple[str, ...]
    events: int


def forget_messages(_hive: Hive, command: ForgetMessages) -> list[Fact]:
    """Forget them; none is no fact."""
    if command.before > command.at:
        raise Invalid(f"messages closed before {command.before} would be forgotten, and it is {command.at} now")
    return [facts.MessagesForgotten(before=command.before, count=command.count)] if command.count else []


def streams_trimmed(_hive: Hive, command: ReportStreamsTrimmed) -> list[Fact]:
    """Note it; none is no fact."""
    return [facts.StreamsTrimmed(agents=command.agents, events=command.events)] if command.events else []
