"""Hives with a past that has something to tell: one written fact by fact, and any that nobody thought of."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hyperhive.events import agents, messages, questions, turns
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR, Actor, Cause, Fact, actor_of_agent
from hyperhive.events.hive import HiveCreated
from hyperhive.events.log import read
from hyperhive.projections import database
from hyperhive.projections.hive import Hive
from hyperhive.projections.mirror import Mirror
from hyperhive.replay.past import Past
from tests.commands.desk import Desk
from tests.language import DAWN
from tests.projections.histories import Step, happen

CODER = actor_of_agent("coder")
SECOND = 1_000_000
BLOCK = 5
"""Facts between two checkpoints, so that a short history has many."""


class Writer:
    """Writes a log fact by fact, a second apart, with its tables as they would be."""

    def __init__(self, path: Path) -> None:
        self._log, self.hive = database.open_hive(path)
        self.now = DAWN

    def write(self, fact: Fact, actor: Actor = DAEMON, cause: int | None = None) -> int:
        """Append a fact and return its position; ``cause`` is the position of what led to it."""
        self.now += SECOND
        led = None
        if cause is not None:
            (before,) = self._log.read(cause, cause)
            led = Cause(cause, before.correlation)
        mirror = Mirror()
        recorded = self._log.record(fact, at=self.now, actor=actor, cause=led)
        mirror.note(recorded.position, self.hive.fold(recorded))
        self._log.commit(mirror.write)
        return recorded.position

    def close(self) -> None:
        """Close the file."""
        self._log.close()


def story(path: Path) -> dict[str, int]:
    """Let the operator ask, the manager have a turn, ask back and rebuild coder, which crashes; return who is where."""
    to = Writer(path)
    at: dict[str, int] = {"created": to.write(HiveCreated(hive="h"))}
    for name in ("manager", "coder"):
        asked = to.write(agents.SpawnRequested(agent=name), OPERATOR)
        at[f"{name} spawned"] = to.write(agents.SpawnSucceeded(agent=name, generation=1), DAEMON, asked)
    at["wish"] = to.write(
        messages.MessageSent(to="manager", sender="operator", body="make coder “new”\nplease"), OPERATOR
    )
    mail = tuple(id_ for _, id_ in to.hive.messages.group("manager"))
    to.write(messages.MessagesHandedOver(to="manager", ids=mail), MANAGER, at["wish"])
    at["turn"] = to.write(turns.TurnStarted(agent="manager", ids=mail), MANAGER, at["wish"])
    at["asked"] = to.write(
        questions.QuestionAsked(id=1, asker="manager", question="really?", options=("yes", "no")), MANAGER, at["turn"]
    )
    at["answered"] = to.write(
        questions.QuestionAnswered(id=1, asker="manager", question="really?", answer="yes"), OPERATOR, at["asked"]
    )
    at["rebuild"] = to.write(agents.RebuildRequested(agent="coder"), OPERATOR, at["answered"])
    ended = turns.TurnEnded(agent="manager", ok=True, cost_usd=0.5, input_tokens=10)
    at["ended"] = to.write(ended, MANAGER, at["turn"])
    to.write(messages.MessagesAcknowledged(to="manager", ids=mail), MANAGER, at["turn"])
    at["rebuilt"] = to.write(agents.RebuildSucceeded(agent="coder", generation=2), DAEMON, at["rebuild"])
    at["crash"] = to.write(agents.ContainerCrashed(agent="coder", generation=2, exit_status=137))
    at["head"] = to.write(messages.MessageSent(to="coder", sender="operator", body="naïve 🐝 \x1b[2J"), OPERATOR)
    to.close()
    return at


def lived(path: Path, history: list[list[Step]]) -> int:
    """Let any history happen; return where its log ends."""
    desk = Desk(path)
    asyncio.run(happen(desk, history))
    desk.log.close()
    return desk.hive.position


def folded(path: Path, until: int) -> Hive:
    """Fold a log from its beginning, fact by fact."""
    log, _ = database.open_hive(path)
    hive = Hive()
    for recorded in read(log.connection, until=until):
        hive.fold(recorded)
    log.close()
    return hive


def opened(path: Path) -> Past:
    """Open a past with many checkpoints."""
    return Past(path, block=BLOCK)
