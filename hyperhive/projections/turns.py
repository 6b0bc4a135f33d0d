"""View ``turns``: every turn of every agent, what it was on, how it ended, what it used."""

from __future__ import annotations

from collections.abc import Iterable

from hyperhive.events import agents, turns
from hyperhive.events.envelope import Recorded
from hyperhive.projections.projection import Change, FrozenRow, Projection, Rows, evolve

CUT_OFF = "cut_off"
"""The kind of error of a turn whose container or harness went away under it."""


class Turn(FrozenRow, frozen=True, kw_only=True):
    """One turn; ``number`` counts an agent's turns from 1."""

    agent: str
    number: int
    position: int
    """Of the fact that began it."""
    started_at: int
    ended_at: int | None = None
    ok: bool | None = None
    """None while it runs."""
    error: str | None = None
    error_kind: str | None = None
    cost_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    newest: bool = True
    """Whether it is the agent's newest: what the next one is counted from."""


def newest_turn(rows: Rows, agent: str) -> Turn | None:
    """Return an agent's newest turn, running or not."""
    return next(iter(rows.group(agent).values()), None)


def _started(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    name = recorded.event.agent
    last = newest_turn(rows, name)
    changes: list[Change] = []
    if last is not None:
        ended = _cut_off(last, recorded.at) if last.ok is None else last
        changes.append(((name, last.number), evolve(ended, newest=False)))
    row = Turn(
        agent=name,
        number=last.number + 1 if last is not None else 1,
        position=recorded.position,
        started_at=recorded.at,
    )
    return [*changes, ((name, row.number), row)]


def _ended(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event: turns.TurnEnded = recorded.event
    row = newest_turn(rows, event.agent)
    if row is None or row.ok is not None:
        return ()
    changed = evolve(
        row,
        ended_at=recorded.at,
        ok=event.ok,
        error=event.error,
        error_kind=event.error_kind,
        cost_usd=event.cost_usd,
        input_tokens=event.input_tokens,
        output_tokens=event.output_tokens,
        cache_read_tokens=event.cache_read_tokens,
        cache_creation_tokens=event.cache_creation_tokens,
    )
    return (((row.agent, row.number), changed),)


def _silenced(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    """End the turn that was running: a container that stopped, or a harness that begins, has none."""
    row = newest_turn(rows, recorded.event.agent)
    if row is None or row.ok is not None or getattr(recorded.event, "running", False):
        return ()
    return (((row.agent, row.number), _cut_off(row, recorded.at)),)


def _cut_off(row: Turn, at: int) -> Turn:
    return evolve(row, ended_at=at, ok=False, error_kind=CUT_OFF)


def is_newest(row: Turn) -> bool:
    """Whether memory keeps it: every older turn is read from the table."""
    return row.newest


TURNS = Projection(
    name="turns",
    row=Turn,
    key=("agent", "number"),
    is_open=is_newest,
    folds={
        turns.TurnStarted: _started,
        turns.TurnEnded: _ended,
        turns.HarnessStarted: _silenced,
        agents.KillSucceeded: _silenced,
        agents.KillFailed: _silenced,
        agents.RestartFailed: _silenced,
        agents.RebuildFailed: _silenced,
        agents.DestroyFailed: _silenced,
        agents.DestroySucceeded: _silenced,
        agents.ContainerCrashed: _silenced,
        agents.ContainerLost: _silenced,
    },
)
