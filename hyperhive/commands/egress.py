"""Deciding about the way out."""

from __future__ import annotations

import attrs

from hyperhive.commands.command import Command
from hyperhive.events.egress import EgressBlocked
from hyperhive.events.envelope import Fact
from hyperhive.projections.hive import Hive


@attrs.frozen(kw_only=True)
class ReportEgressBlocked(Command):
    """The proxy let something not pass, and it is worth a fact."""

    blocked: EgressBlocked


def blocked(hive: Hive, command: ReportEgressBlocked) -> list[Fact]:
    """Note it, unless the agent is gone."""
    return [command.blocked] if command.blocked.agent in hive.agents else []
