"""View ``sessions``: what each agent's session does, on which model, at what cost, as its harness reports it."""

from __future__ import annotations

from collections.abc import Iterable

from hyperhive.events import agents, messages, turns
from hyperhive.events.envelope import Recorded
from hyperhive.projections.projection import Change, Fold, FrozenRow, Projection, Rows, evolve


class Session(FrozenRow, frozen=True, kw_only=True):
    """One agent's session over all its lives; tokens and cost are totals."""

    agent: str
    run: str | None = None
    """The harness's own id for its present life."""
    turn: int | None = None
    """The position of the running turn's `TurnStarted`; whatever the agent does meanwhile is caused by it."""
    turn_correlation: int | None = None
    status: turns.Status = "idle"
    status_text: str | None = None
    status_at: int | None = None
    model: str | None = None
    """What it ran on last."""
    session_id: str | None = None
    needs_login: bool = False
    turns: int = 0
    failed_turns: int = 0
    cost_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    error: str | None = None
    """Of the newest turn, where it failed."""
    version: str | None = None
    """The release of the harness that runs, or ran last."""
    spent_day: int = 0
    """The day (UTC, counted since 1970) of the newest turn with a cost."""
    spent_usd: float = 0.0
    """On that day."""
    failed_servers: tuple[str, ...] = ()
    """Configured tool servers that do not work."""
    refused_sends: int = 0
    """Messages to somebody whom its configuration does not let it write to."""
    chosen_model: str | None = None
    """What the operator wants its turns to run on; None: what is configured."""


DAY = 86_400_000_000
"""In microseconds."""


def spent_on(row: Session | None, at: int) -> float:
    """Return what an agent's turns have cost in dollars on the day (UTC) of this moment."""
    return row.spent_usd if row is not None and row.spent_day == at // DAY else 0.0


def _row(rows: Rows, recorded: Recorded) -> Session:
    name = recorded.event.agent
    return rows.get(name) or Session(agent=name)


def _harness_started(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event = recorded.event
    changed = evolve(
        _row(rows, recorded),
        run=event.run,
        version=event.version,
        failed_servers=(),
        turn=None,
        turn_correlation=None,
        status="idle",
        status_text=None,
        status_at=recorded.at,
    )
    return ((event.agent, changed),)


def _turn_started(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    changed = evolve(
        _row(rows, recorded),
        turn=recorded.position,
        turn_correlation=recorded.correlation,
        status="thinking",
        status_text=None,
        status_at=recorded.at,
    )
    return ((changed.agent, changed),)


def _turn_ended(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event: turns.TurnEnded = recorded.event
    row = _row(rows, recorded)
    changed = evolve(
        row,
        turn=None,
        turn_correlation=None,
        status="idle",
        status_text=None,
        status_at=recorded.at,
        session_id=event.session_id or row.session_id,
        needs_login=row.needs_login and not event.ok,
        turns=row.turns + 1,
        failed_turns=row.failed_turns + (not event.ok),
        cost_usd=row.cost_usd + event.cost_usd,
        input_tokens=row.input_tokens + event.input_tokens,
        output_tokens=row.output_tokens + event.output_tokens,
        cache_read_tokens=row.cache_read_tokens + event.cache_read_tokens,
        cache_creation_tokens=row.cache_creation_tokens + event.cache_creation_tokens,
        error=event.error,
        spent_day=recorded.at // DAY,
        spent_usd=spent_on(row, recorded.at) + event.cost_usd,
    )
    return ((event.agent, changed),)


def _status_changed(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event = recorded.event
    row = _row(rows, recorded)
    changed = evolve(row, status=event.status, status_text=event.text, status_at=recorded.at)
    return ((event.agent, changed),)


def _set(field: str, source: str) -> Fold:
    def fold(rows: Rows, recorded: Recorded) -> Iterable[Change]:
        changes = {field: getattr(recorded.event, source)}
        return ((recorded.event.agent, evolve(_row(rows, recorded), **changes)),)

    return fold


def _login_needed(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    return ((recorded.event.agent, evolve(_row(rows, recorded), needs_login=True)),)


def _refused(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    row: Session = rows.get(recorded.event.sender) or Session(agent=recorded.event.sender)
    return ((row.agent, evolve(row, refused_sends=row.refused_sends + 1)),)


def _silenced(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    """End the turn that was running: a container that stopped has none any more."""
    row = rows.get(recorded.event.agent)
    if row is None or getattr(recorded.event, "running", False):
        return ()
    if getattr(recorded.event, "purge", False):
        return ((row.agent, None),)
    changed = evolve(row, run=None, turn=None, turn_correlation=None, status="idle", status_text=None)
    return ((row.agent, changed),)


SESSIONS = Projection(
    name="sessions",
    row=Session,
    key=("agent",),
    revision=2,
    folds={
        turns.HarnessStarted: _harness_started,
        turns.TurnStarted: _turn_started,
        turns.TurnEnded: _turn_ended,
        turns.StatusChanged: _status_changed,
        turns.ModelChanged: _set("model", "model"),
        turns.ModelChosen: _set("chosen_model", "model"),
        turns.SessionLost: _set("session_id", "actual"),
        turns.LoginNeeded: _login_needed,
        turns.ToolServersFailed: _set("failed_servers", "servers"),
        messages.MessageRefused: _refused,
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
