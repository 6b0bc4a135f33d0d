"""View ``sessions``: what each agent's session does, on which model, at what cost, as its harness reports it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

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
_AT_ONCE = 16
"""Reports of one harness that are taken together where many facts are folded."""


def spent_on(row: Session | None, at: int) -> float:
    """Return what an agent's turns have cost in dollars on the day (UTC) of this moment."""
    return row.spent_usd if row is not None and row.spent_day == at // DAY else 0.0


def _row(rows: Rows, recorded: Recorded) -> Session:
    name = recorded.event.agent
    return rows.get(name) or Session(agent=name)


def _harness_started(row: Session, recorded: Recorded) -> Session:
    event: turns.HarnessStarted = recorded.event
    return evolve(
        row,
        run=event.run,
        version=event.version,
        failed_servers=(),
        turn=None,
        turn_correlation=None,
        status="idle",
        status_text=None,
        status_at=recorded.at,
    )


def _turn_started(row: Session, recorded: Recorded) -> Session:
    return evolve(
        row,
        turn=recorded.position,
        turn_correlation=recorded.correlation,
        status="thinking",
        status_text=None,
        status_at=recorded.at,
    )


def _turn_ended(row: Session, recorded: Recorded) -> Session:
    return _turns_ended(row, (recorded,))


def _turns_ended(row: Session, ended: Sequence[Recorded]) -> Session:
    """Take turns that ended one after the other: each adds to the totals, the last says what is so now."""
    session_id, needs_login, failed = row.session_id, row.needs_login, row.failed_turns
    cost, day, spent = row.cost_usd, row.spent_day, row.spent_usd
    read, written = row.input_tokens, row.output_tokens
    cached, caching = row.cache_read_tokens, row.cache_creation_tokens
    for recorded in ended:
        event: turns.TurnEnded = recorded.event
        session_id = event.session_id or session_id
        needs_login = needs_login and not event.ok
        failed += not event.ok
        cost += event.cost_usd
        read += event.input_tokens
        written += event.output_tokens
        cached += event.cache_read_tokens
        caching += event.cache_creation_tokens
        today = recorded.at // DAY
        spent = event.cost_usd + (spent if today == day else 0.0)
        day = today
    return evolve(
        row,
        turn=None,
        turn_correlation=None,
        status="idle",
        status_text=None,
        status_at=ended[-1].at,
        session_id=session_id,
        needs_login=needs_login,
        turns=row.turns + len(ended),
        failed_turns=failed,
        cost_usd=cost,
        input_tokens=read,
        output_tokens=written,
        cache_read_tokens=cached,
        cache_creation_tokens=caching,
        error=ended[-1].event.error,
        spent_day=day,
        spent_usd=spent,
    )


def _status_changed(row: Session, recorded: Recorded) -> Session:
    event: turns.StatusChanged = recorded.event
    return evolve(row, status=event.status, status_text=event.text, status_at=recorded.at)


_REPORTS: dict[type, Callable[[Session, Recorded], Session]] = {
    turns.HarnessStarted: _harness_started,
    turns.TurnStarted: _turn_started,
    turns.StatusChanged: _status_changed,
    turns.TurnEnded: _turn_ended,
}
"""What a harness at work reports all the time."""


def _reported(report: Callable[[Session, Recorded], Session]) -> Fold:
    return lambda rows, recorded: ((recorded.event.agent, report(_row(rows, recorded), recorded)),)


class _AtWork:
    """Sessions while many facts are folded: what the end of a turn overwrites is left out, and totals are summed up."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._waiting: dict[str, list[Recorded]] = {}
        """What each agent's harness has reported since its row was made."""
        self.folds: dict[type, Callable[[Recorded], None]] = {
            turns.HarnessStarted: self._begin,
            turns.TurnStarted: self._wait,
            turns.StatusChanged: self._wait,
            turns.TurnEnded: self._wait,
        }

    def _wait(self, recorded: Recorded) -> None:
        agent = recorded.event.agent
        waiting = self._waiting.get(agent)
        if waiting is None:
            waiting = self._waiting[agent] = []
            self._rows.put(agent, _row(self._rows, recorded))  # the rows keep the order of their first facts
        waiting.append(recorded)
        if len(waiting) >= _AT_ONCE:
            self._take(agent, waiting)

    def _begin(self, recorded: Recorded) -> None:
        self._wait(recorded)
        agent = recorded.event.agent
        self._take(agent, self._waiting[agent])

    def _take(self, agent: str, waiting: list[Recorded]) -> None:
        row = self._rows[agent]
        ended = [recorded for recorded in waiting if type(recorded.event) is turns.TurnEnded]
        after = 0
        if ended:
            row, after = _turns_ended(row, ended), waiting.index(ended[-1]) + 1
        for recorded in waiting[after:]:
            row = _REPORTS[type(recorded.event)](row, recorded)
        self._rows.put(agent, row)
        waiting.clear()

    def settle(self) -> None:
        """Make the rows what they are after all that was reported."""
        for agent, waiting in self._waiting.items():
            self._take(agent, waiting)
        self._waiting.clear()


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
    bulk=_AtWork,
    folds={
        **{event: _reported(report) for event, report in _REPORTS.items()},
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
