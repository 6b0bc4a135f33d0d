"""View ``agents``: every agent with its container, and the intent that waits for its outcome."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from hyperhive.events import agents as facts
from hyperhive.events import turns
from hyperhive.events.envelope import Recorded
from hyperhive.projections.projection import Change, Fold, FrozenRow, Projection, Rows, evolve

QUARANTINE_CRASHES = 5
QUARANTINE_SECONDS = 600
"""So many crashes within so many seconds, and an agent is quarantined."""
CRASHES_KEPT = 20
"""More than the quarantine counts, so that replay can ask what a more patient one would have done."""


class Transient(enum.StrEnum):
    """What people see while an intent has no outcome."""

    SPAWNING = "spawning"
    STARTING = "starting"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    REBUILDING = "rebuilding"
    DESTROYING = "destroying"


class State(enum.StrEnum):
    """Whether there is a container, as the log knows it."""

    NEW = "new"
    """Asked for, never made."""
    RUNNING = "running"
    STOPPED = "stopped"
    DESTROYED = "destroyed"
    """A tombstone: no container, the state directory kept."""


class Agent(FrozenRow, frozen=True, kw_only=True):
    """One agent. ``generation`` counts the starts of its container."""

    name: str
    state: State = State.NEW
    generation: int = 0
    pending: Transient | None = None
    pending_at: int | None = None
    """Microseconds since 1970, of the intent."""
    pending_position: int | None = None
    pending_correlation: int | None = None
    graceful: bool = True
    """Whether the pending stop is."""
    purge: bool = False
    """Whether the pending destroy is."""
    since: int = 0
    """When the state was entered."""
    crashed: bool = False
    """Whether it was a crash that stopped it."""
    error: str | None = None
    """Of the newest action, where it failed."""
    crashes: tuple[int, ...] = ()
    """When its newest crashes were; at most `CRASHES_KEPT`."""
    quarantined: bool = False
    paused: bool = False
    control: int = 0
    """The position of the newest pause, resume or interrupt: what its harness has to hear of."""
    interrupt: int = 0
    """The position of the newest interrupt."""
    runtime: str | None = None
    """Where its container is made; None where the daemon chooses."""

    @property
    def running(self) -> bool:
        """Whether the container runs, as the log knows it."""
        return self.state is State.RUNNING


def _intent(transient: Transient) -> Fold:
    def fold(rows: Rows, recorded: Recorded) -> Iterable[Change]:
        event = recorded.event
        row: Agent = rows.get(event.agent) or Agent(name=event.agent, since=recorded.at)
        changed = evolve(
            row,
            pending=transient,
            pending_at=recorded.at,
            pending_position=recorded.position,
            pending_correlation=recorded.correlation,
            graceful=getattr(event, "graceful", True),
            purge=getattr(event, "purge", False),
        )
        return ((event.agent, changed),)

    return fold


def _settled(row: Agent, **changes: object) -> Agent:
    return evolve(
        row,
        pending=None,
        pending_at=None,
        pending_position=None,
        pending_correlation=None,
        graceful=True,
        purge=False,
        **changes,
    )


def _started(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event = recorded.event
    changed = _settled(
        rows[event.agent],
        state=State.RUNNING,
        generation=event.generation,
        since=recorded.at,
        crashed=False,
        error=None,
    )
    return ((event.agent, changed),)


def _stopped(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event = recorded.event
    row = rows[event.agent]
    return ((event.agent, _settled(row, state=State.STOPPED, since=recorded.at, crashed=False, error=None)),)


def _destroyed(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event = recorded.event
    if event.purge:
        return ((event.agent, None),)
    row = rows[event.agent]
    return ((event.agent, _settled(row, state=State.DESTROYED, since=recorded.at, crashed=False, error=None)),)


def _failed(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    """Believe what was observed after the failure: a stop that failed leaves a running container, a restart may not."""
    event = recorded.event
    row = rows[event.agent]
    seen = State.RUNNING if event.running else State.STOPPED
    state = seen if row.running or event.running else row.state
    since = recorded.at if state is not row.state else row.since
    generation = row.generation if event.generation is None else event.generation
    return ((event.agent, _settled(row, state=state, since=since, error=event.error, generation=generation)),)


def _crashed(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    row: Agent = rows[recorded.event.agent]
    crashes = (*row.crashes, recorded.at)[-CRASHES_KEPT:]
    changed = evolve(row, state=State.STOPPED, since=recorded.at, crashed=True, crashes=crashes)
    return ((row.name, changed),)


def _lost(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    row: Agent = rows[recorded.event.agent]
    return ((row.name, evolve(row, state=State.STOPPED, since=recorded.at, crashed=False)),)


def _quarantine(*, quarantined: bool) -> Fold:
    def fold(rows: Rows, recorded: Recorded) -> Iterable[Change]:
        row: Agent = rows[recorded.event.agent]
        crashes = row.crashes if quarantined else ()
        return ((row.name, evolve(row, quarantined=quarantined, crashes=crashes)),)

    return fold


def _pause(*, paused: bool) -> Fold:
    def fold(rows: Rows, recorded: Recorded) -> Iterable[Change]:
        row: Agent = rows[recorded.event.agent]
        return ((row.name, evolve(row, paused=paused, control=recorded.position)),)

    return fold


def _interrupted(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    row: Agent = rows[recorded.event.agent]
    return ((row.name, evolve(row, control=recorded.position, interrupt=recorded.position)),)


def _moved(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    row: Agent = rows[recorded.event.agent]
    return ((row.name, evolve(row, runtime=recorded.event.runtime)),)


AGENTS = Projection(
    name="agents",
    row=Agent,
    key=("name",),
    revision=2,  # keeps more crashes
    folds={
        facts.SpawnRequested: _intent(Transient.SPAWNING),
        facts.SpawnSucceeded: _started,
        facts.SpawnFailed: _failed,
        facts.StartRequested: _intent(Transient.STARTING),
        facts.StartSucceeded: _started,
        facts.StartFailed: _failed,
        facts.KillRequested: _intent(Transient.STOPPING),
        facts.KillSucceeded: _stopped,
        facts.KillFailed: _failed,
        facts.RestartRequested: _intent(Transient.RESTARTING),
        facts.RestartSucceeded: _started,
        facts.RestartFailed: _failed,
        facts.RebuildRequested: _intent(Transient.REBUILDING),
        facts.RebuildSucceeded: _started,
        facts.RebuildFailed: _failed,
        facts.DestroyRequested: _intent(Transient.DESTROYING),
        facts.DestroySucceeded: _destroyed,
        facts.DestroyFailed: _failed,
        facts.ContainerCrashed: _crashed,
        facts.ContainerLost: _lost,
        facts.AgentQuarantined: _quarantine(quarantined=True),
        facts.QuarantineLifted: _quarantine(quarantined=False),
        facts.AgentPaused: _pause(paused=True),
        facts.AgentResumed: _pause(paused=False),
        turns.TurnInterruptRequested: _interrupted,
        facts.AgentMoved: _moved,
    },
)
