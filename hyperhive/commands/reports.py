"""Deciding about what a harness reports of its session; a report is about the reporter alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from hyperhive.commands.command import Command
from hyperhive.commands.messages import acknowledged
from hyperhive.events import turns
from hyperhive.events.envelope import Fact
from hyperhive.projections.configurations import settings_of
from hyperhive.projections.hive import Hive
from hyperhive.projections.sessions import Session, spent_on


@attrs.frozen(kw_only=True)
class Report(Command):
    """Something that a harness says about its own session."""

    agent: str
    generation: int | None = None
    """Of the container that the harness runs in, where it says so."""

    @property
    def about(self) -> frozenset[str]:
        """Every agent whose stream it would write to."""
        return frozenset({self.agent})


@attrs.frozen(kw_only=True)
class ReportTurnStarted(Report):
    """A turn began on these messages, or on a slash command; what the agent does until it ends is caused by it."""

    ids: tuple[int, ...] = ()
    command: int | None = None
    """The id of the slash command."""


@attrs.frozen(kw_only=True)
class ReportTurnEnded(Report):
    """A turn ended; the messages in ``ack`` are delivered by it, in the same moment."""

    ended: turns.TurnEnded
    ack: tuple[int, ...] = ()

    @property
    def about(self) -> frozenset[str]:
        """Also whom the inner fact names."""
        return frozenset({self.agent, self.ended.agent})


@attrs.frozen(kw_only=True)
class ReportFact(Report):
    """Any other report, already in the shape of its fact."""

    fact: Any

    @property
    def about(self) -> frozenset[str]:
        """Also whom the inner fact names."""
        return frozenset({self.agent, self.fact.agent})


R = TypeVar("R", bound=Report)


def is_late(hive: Hive, report: Report) -> bool:
    """Whether a report comes from an older container than the agent's present one."""
    agent = hive.agents.get(report.agent)
    return agent is not None and report.generation is not None and report.generation < agent.generation


def _in_time(decider: Callable[[Hive, R], list[Fact]]) -> Callable[[Hive, R], list[Fact]]:
    """Let nothing follow from a report that comes too late: it says nothing of the container that runs now."""

    @functools.wraps(decider)
    def decide(hive: Hive, command: R) -> list[Fact]:
        return [] if is_late(hive, command) else decider(hive, command)

    return decide


@_in_time
def turn_started(hive: Hive, command: ReportTurnStarted) -> list[Fact]:
    """Note the turn, and that the command it is on waits no more."""
    started = turns.TurnStarted(agent=command.agent, ids=command.ids)
    taken = hive.slash_commands.get((command.agent, command.command))
    return [started] if taken is None else [started, turns.SlashCommandTaken(agent=command.agent, id=taken.id)]


@_in_time
def turn_ended(hive: Hive, command: ReportTurnEnded) -> list[Fact]:
    """Note the end, and with it the delivery of its mail; and that the day's budget is spent, where it is now."""
    return [command.ended, *acknowledged(hive, command.agent, command.ack), *_spent(hive, command)]


def _spent(hive: Hive, command: ReportTurnEnded) -> list[Fact]:
    limit = settings_of(hive.configurations, command.agent).usd_per_day
    before = spent_on(hive.sessions.get(command.agent), command.at)
    after = before + command.ended.cost_usd
    if limit is None or not before < limit <= after:
        return []
    return [turns.BudgetExhausted(agent=command.agent, usd_per_day=limit, spent_usd=after)]


@_in_time
def fact(hive: Hive, command: ReportFact) -> list[Fact]:
    """Note what is new; a status, a model or a lack of login that is known already is no fact."""
    row = hive.sessions.get(command.agent) or Session(agent=command.agent)
    match command.fact:
        case turns.StatusChanged(status=status, text=text) if (status, text) == (row.status, row.status_text):
            return []
        case turns.ModelChanged(model=model) if model == row.model:
            return []
        case turns.LoginNeeded() if row.needs_login:
            return []
        case turns.ToolServersFailed(servers=servers) if servers == row.failed_servers:
            return []
        case new:
            return [new]
