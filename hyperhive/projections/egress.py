"""View ``egress``: which hosts each agent was last kept from, since its container was made."""

from __future__ import annotations

from collections.abc import Iterable

from hyperhive.events import agents
from hyperhive.events.egress import EgressBlocked
from hyperhive.events.envelope import Recorded
from hyperhive.projections.projection import Change, FrozenRow, Projection, Rows, evolve

MAX_HOSTS = 16


class Egress(FrozenRow, frozen=True, kw_only=True):
    """One agent's row, while there is anything to show."""

    agent: str
    hosts: tuple[str, ...]
    """As an allow-list would name them (without a port: 443), the newest first."""
    count: int = 0
    """Every attempt that the facts tell of."""
    at: int = 0


def shown(host: str, port: int) -> str:
    """Write a host as an allow-list names it."""
    return host if port == 443 else f"{host}:{port}"


def _blocked(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event = recorded.event
    row: Egress = rows.get(event.agent) or Egress(agent=event.agent, hosts=())
    name = shown(event.host, event.port)
    hosts = (name, *(host for host in row.hosts if host != name))[:MAX_HOSTS]
    count = row.count + event.count + event.others
    return ((event.agent, evolve(row, hosts=hosts, count=count, at=recorded.at)),)


def _anew(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    agent = recorded.event.agent
    return ((agent, None),) if agent in rows else ()


EGRESS = Projection(
    name="egress",
    row=Egress,
    key=("agent",),
    folds={
        EgressBlocked: _blocked,
        agents.SpawnSucceeded: _anew,
        agents.RebuildSucceeded: _anew,
        agents.DestroySucceeded: _anew,
    },
)
