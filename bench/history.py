"""A long past: the facts of a hive at work, as its deciders would have led to them, made by the million.

Agents write to each other; each takes its mail, has a turn on it, says what it does, writes on and acknowledges. Now
and then one is restarted and gets its kick. In the end all are stopped.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from hyperhive.events import agents, hive, messages, turns
from hyperhive.events.envelope import DAEMON, OPERATOR, Actor, Cause, Fact, actor_of_agent
from hyperhive.events.log import Log
from hyperhive.projections import database
from hyperhive.projections.mirror import Mirror

AGENTS = 50
TURNS_BETWEEN_RESTARTS = 200
BATCH = 5_000
AT = 1_767_225_600_000_000

Happening = tuple[Fact, Actor, Cause | None]


class Past:
    """Makes the facts one after the other, and knows which mail waits."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._chance = random.Random(count)
        self._names = [f"agent-{number}" for number in range(AGENTS)]
        self._mail: dict[str, deque[int]] = {name: deque() for name in self._names}
        self._generation = dict.fromkeys(self._names, 1)
        self._position = 0

    def facts(self) -> Iterator[Happening]:
        """Yield as many facts as were asked for."""
        stopping = 2 * AGENTS
        yield from itertools.islice(self._counted(self._happenings()), self._count - stopping)
        yield from self._counted(self._ending())

    def _counted(self, happenings: Iterator[Happening]) -> Iterator[Happening]:
        for happening in happenings:
            self._position += 1
            yield happening

    def _happenings(self) -> Iterator[Happening]:
        yield hive.HiveCreated(hive="bench"), DAEMON, None
        yield hive.DaemonStarted(release="0", runtime="process"), DAEMON, None
        for name in self._names:
            yield agents.SpawnRequested(agent=name), OPERATOR, None
            yield agents.SpawnSucceeded(agent=name, generation=1), DAEMON, None
            self._mail[name].append(self._position)
            yield turns.HarnessStarted(agent=name, run=f"run-{name}", version="0"), actor_of_agent(name), None
        for number in itertools.count():
            name = self._chance.choice(self._names)
            yield messages.MessageSent(to=name, sender="operator", body=self._words()), OPERATOR, None
            self._mail[name].append(self._position)
            yield from self._turn(name, Cause(self._position, self._position))
            if number % TURNS_BETWEEN_RESTARTS == 0:
                yield from self._restart(name)

    def _turn(self, name: str, cause: Cause) -> Iterator[Happening]:
        actor, to = actor_of_agent(name), self._chance.choice(self._names)
        ids = tuple(self._mail[name])
        self._mail[name].clear()
        yield messages.MessagesHandedOver(to=name, ids=ids), actor, cause
        yield turns.TurnStarted(agent=name, ids=ids), actor, cause
        turn = Cause(self._position, cause.correlation)
        yield turns.StatusChanged(agent=name, status="thinking", text=f"on {len(ids)} messages"), actor, turn
        yield messages.MessageSent(to=to, sender=name, body=self._words()), actor, turn
        self._mail[to].append(self._position)
        ended = turns.TurnEnded(
            agent=name,
            ok=True,
            cost_usd=0.0123,
            input_tokens=1_234,
            output_tokens=321,
            cache_read_tokens=20_000,
            session_id="4f0c0de0-0000-4000-8000-000000000000",
        )
        yield ended, actor, turn
        yield messages.MessagesAcknowledged(to=name, ids=ids), actor, turn

    def _restart(self, name: str) -> Iterator[Happening]:
        yield agents.RestartRequested(agent=name), OPERATOR, None
        self._generation[name] += 1
        yield agents.RestartSucceeded(agent=name, generation=self._generation[name]), DAEMON, None
        self._mail[name].append(self._position)
        yield turns.HarnessStarted(agent=name, run=f"run-{name}", version="0"), actor_of_agent(name), None

    def _ending(self) -> Iterator[Happening]:
        for name in self._names:
            yield agents.KillRequested(agent=name), OPERATOR, None
            yield agents.KillSucceeded(agent=name), DAEMON, None

    def _words(self) -> str:
        return " ".join(self._chance.choices(_WORDS, k=self._chance.randint(5, 60)))


_WORDS = (
    "please",
    "look",
    "at",
    "these",
    "tests",
    "again",
    "and",
    "say",
    "what",
    "you",
    "think",
    "grüße",
    "naïve",
    "🐝",
)


def write(path: Path, count: int) -> Log:
    """Make a hive's database with so many facts in its log, and its tables as they would be."""
    database.upgrade(path)
    log, state = database.open_hive(path)
    log.connection.execute("PRAGMA synchronous=OFF")  # nothing is measured here
    mirror = Mirror()
    for fact, actor, cause in Past(count).facts():
        recorded = log.record(fact, at=AT + state.position, actor=actor, cause=cause)
        mirror.note(recorded.position, state.fold(recorded))
        if recorded.position % BATCH == 0:
            log.commit(mirror.write)
            mirror.clear()
    log.commit(lambda connection: mirror.write(connection) if count % BATCH else None)
    return log
