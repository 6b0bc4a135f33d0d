"""View ``slash_commands``: what the operator said to an agent's session itself, until the session takes it up."""

from __future__ import annotations

from collections.abc import Iterable

from hyperhive.events import agents, turns
from hyperhive.events.envelope import Recorded
from hyperhive.projections.projection import Change, FrozenRow, Projection, Rows, evolve


class SlashCommand(FrozenRow, frozen=True, kw_only=True):
    """One command; ``id`` is the position of the fact that made it."""

    agent: str
    id: int
    text: str
    at: int
    correlation: int
    taken_at: int | None = None


def _given(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event: turns.SlashCommandGiven = recorded.event
    row = SlashCommand(
        agent=event.agent,
        id=recorded.position,
        text=event.text,
        at=recorded.at,
        correlation=recorded.correlation,
    )
    return (((event.agent, recorded.position), row),)


def _taken(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    key = (recorded.event.agent, recorded.event.id)
    row = rows.get(key)
    return ((key, evolve(row, taken_at=recorded.at)),) if row is not None else ()


def _destroyed(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    """Nobody waits for what was said to a container that is gone."""
    return [(key, evolve(row, taken_at=recorded.at)) for key, row in rows.group(recorded.event.agent).items()]


def is_open(row: SlashCommand) -> bool:
    """Whether it waits still."""
    return row.taken_at is None


SLASH_COMMANDS = Projection(
    name="slash_commands",
    row=SlashCommand,
    key=("agent", "id"),
    is_open=is_open,
    folds={
        turns.SlashCommandGiven: _given,
        turns.SlashCommandTaken: _taken,
        agents.DestroySucceeded: _destroyed,
    },
)
