"""View ``configurations``: what is applied to each agent, and what was before."""

from __future__ import annotations

from collections.abc import Iterable

from hyperhive.events import agents
from hyperhive.events import configurations as facts
from hyperhive.events.configurations import AgentSettings
from hyperhive.events.envelope import Recorded
from hyperhive.projections.projection import Change, FrozenRow, Projection, Rows, evolve

UNCONFIGURED = AgentSettings()


class Configuration(FrozenRow, frozen=True, kw_only=True):
    """One agent's applied configuration; ``former`` is what a failed rebuild goes back to."""

    agent: str
    commit: str
    settings: AgentSettings
    approval: int
    applied_at: int
    former: str | None = None
    former_settings: AgentSettings | None = None
    deployed: str | None = None
    """The commit that its container was made from."""


def settings_of(rows: Rows, agent: str) -> AgentSettings:
    """Return what an agent's applied configuration says; without one it says nothing."""
    row: Configuration | None = rows.get(agent)
    return row.settings if row is not None else UNCONFIGURED


def commit_of(rows: Rows, agent: str) -> str | None:
    """Return what is applied to an agent; None where nothing is."""
    row: Configuration | None = rows.get(agent)
    return row.commit if row is not None else None


def _applied(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event: facts.ConfigurationApplied = recorded.event
    before: Configuration | None = rows.get(event.agent)
    row = Configuration(
        agent=event.agent,
        commit=event.commit,
        settings=event.settings,
        approval=event.approval,
        applied_at=recorded.at,
        former=before.commit if before is not None else None,
        former_settings=before.settings if before is not None else None,
        deployed=before.deployed if before is not None else None,
    )
    return ((event.agent, row),)


def _reverted(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event: facts.ConfigurationReverted = recorded.event
    row = evolve(
        rows[event.agent],
        commit=event.commit,
        settings=event.settings,
        applied_at=recorded.at,
        former=None,
        former_settings=None,
    )
    return ((event.agent, row),)


def _deployed(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    row: Configuration | None = rows.get(recorded.event.agent)
    return ((row.agent, evolve(row, deployed=row.commit)),) if row is not None else ()


def _destroyed(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    """Forget what is purged; a destroyed agent keeps its configuration for its revival."""
    event: agents.DestroySucceeded = recorded.event
    return ((event.agent, None),) if event.purge and event.agent in rows else ()


CONFIGURATIONS = Projection(
    name="configurations",
    row=Configuration,
    key=("agent",),
    folds={
        facts.ConfigurationApplied: _applied,
        facts.ConfigurationReverted: _reverted,
        agents.SpawnSucceeded: _deployed,
        agents.StartSucceeded: _deployed,
        agents.RestartSucceeded: _deployed,
        agents.RebuildSucceeded: _deployed,
        agents.DestroySucceeded: _destroyed,
    },
)
