"""View ``turns``: every turn of every agent, what it was on, how it ended, what it used."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hyperhive.events import agents, turns
from hyperhive.events.envelope import Recorded
from hyperhive.projections.projection import Change, Fold, FrozenRow, Projection, Rows, evolve

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
    row = _begun(recorded, last.number + 1 if last is not None else 1)
    return [*changes, ((name, row.number), row)]


def _begun(recorded: Recorded, number: int) -> Turn:
    return Turn(agent=recorded.event.agent, number=number, position=recorded.position, started_at=recorded.at)


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


_ENDINGS: dict[type, Fold] = {
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
}
"""What ends a turn that runs."""


class _Newest:
    """Turns while many facts are folded: only each agent's newest becomes a row, the ones before it are counted."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._newest: dict[str, tuple[int, Recorded]] = {}
        """How many turns each agent has begun meanwhile, and what began the newest."""
        self._endings: dict[str, Recorded] = {}
        """What ended it."""
        self.folds: dict[type, Callable[[Recorded], None]] = {
            turns.TurnStarted: self._start,
            **dict.fromkeys(_ENDINGS, self._end),
        }

    def _start(self, recorded: Recorded) -> None:
        agent = recorded.event.agent
        before = self._newest.pop(agent, None)  # so that it stands last now, as its row will
        self._newest[agent] = (1 if before is None else before[0] + 1, recorded)
        self._endings.pop(agent, None)

    def _end(self, recorded: Recorded) -> None:
        agent = recorded.event.agent
        if agent not in self._newest:
            for key, row in _ENDINGS[type(recorded.event)](self._rows, recorded):
                self._rows.put(key, row)
        elif not getattr(recorded.event, "running", False):
            self._endings.setdefault(agent, recorded)

    def settle(self) -> None:
        """Make the newest turns rows, in the place of those that were."""
        for agent, (count, begun) in self._newest.items():
            last = newest_turn(self._rows, agent)
            if last is not None:
                self._rows.drop((agent, last.number))
            row = _begun(begun, count if last is None else last.number + count)
            self._rows.put((agent, row.number), row)
            if (ending := self._endings.get(agent)) is not None:
                for key, ended in _ENDINGS[type(ending.event)](self._rows, ending):
                    self._rows.put(key, ended)
        self._newest.clear()
        self._endings.clear()


TURNS = Projection(
    name="turns",
    row=Turn,
    key=("agent", "number"),
    is_open=is_newest,
    bulk=_Newest,
    folds={turns.TurnStarted: _started, **_ENDINGS},
)
