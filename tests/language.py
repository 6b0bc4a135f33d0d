"""The test language of deciders and folds: given facts, when a command comes, then these facts follow.

    given(*running("coder")).when(KillAgent(actor=OPERATOR, agent="coder")).then(KillRequested(agent="coder"))

A scene is a value: each step returns a new one, and nothing is shared between tests. ``then`` returns the scene in
which its facts have happened, so that a story may go on. Time stands still until `Scene.later` moves it.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property

import attrs

from hyperhive.commands.command import Command
from hyperhive.commands.decide import cause_of, decide
from hyperhive.commands.errors import Refused
from hyperhive.events.agents import SpawnRequested, SpawnSucceeded
from hyperhive.events.envelope import DAEMON, Actor, Cause, Fact, Recorded
from hyperhive.projections.hive import Hive

DAWN = 1_767_225_600_000_000
"""2026-01-01 00:00 UTC, when every scene begins."""


def given(*facts: Fact) -> Scene:
    """Begin a scene in which these facts have happened."""
    return Scene().given(*facts)


def running(*names: str) -> tuple[Fact, ...]:
    """Return the facts of agents whose containers were spawned and run."""
    return tuple(
        fact for name in names for fact in (SpawnRequested(agent=name), SpawnSucceeded(agent=name, generation=1))
    )


@attrs.frozen(slots=False)
class Scene:
    """A hive in the middle of its history."""

    history: tuple[Recorded, ...] = ()
    now: int = DAWN

    @cached_property
    def hive(self) -> Hive:
        """The hive as it stands, folded from the history."""
        hive = Hive()
        hive.fold_all(self.history)
        return hive

    @property
    def position(self) -> int:
        """The position of the last fact, which is the id of a message that was just sent."""
        return len(self.history)

    def given(self, *facts: Fact) -> Scene:
        """Let more facts happen, each for no reason but itself."""
        return self._happen(facts, DAEMON, None)

    def later(self, *, seconds: float) -> Scene:
        """Let time pass."""
        return attrs.evolve(self, now=self.now + round(seconds * 1_000_000))

    def when(self, command: Command) -> Outcome:
        """Decide one command, which is given now unless it says another time."""
        command = attrs.evolve(command, at=command.at or self.now)
        try:
            answer: tuple[Fact, ...] | Refused = tuple(decide(self.hive, command))
        except Refused as refusal:
            answer = refusal
        assert self.hive.rows == attrs.evolve(self).hive.rows, "deciding has changed the hive"
        return Outcome(scene=self, command=command, answer=answer)

    def _happen(self, facts: tuple[Fact, ...], actor: Actor, cause: Cause | None) -> Scene:
        history = list(self.history)
        versions = Counter(earlier.stream for earlier in history)
        for fact in facts:
            position, stream, type_name = len(history) + 1, fact.stream, type(fact).__name__
            versions[stream] += 1
            causation, correlation = cause or (None, position)
            envelope = (position, stream, versions[stream], type_name, self.now, str(actor), correlation, causation)
            history.append(Recorded(*envelope, fact))
        return attrs.evolve(self, history=tuple(history))


@attrs.frozen(kw_only=True)
class Outcome:
    """What a command led to."""

    scene: Scene
    command: Command
    answer: tuple[Fact, ...] | Refused

    def then(self, *facts: Fact) -> Scene:
        """Expect exactly these facts, in this order; return the scene in which they have happened."""
        assert facts, "say then_nothing_happened() where no fact follows"
        assert facts == self._facts
        cause = cause_of(self.scene.hive, self.command, list(facts))
        return self.scene._happen(facts, self.command.actor, cause)

    def then_nothing_happened(self) -> Scene:
        """Expect that the command was accepted and no fact followed."""
        assert self._facts == ()
        return self.scene

    def then_refused(self, error: type[Refused], *, match: str) -> Scene:
        """Expect a refusal of exactly this class, whose text has ``match`` (a regular expression) in it."""
        assert type(self.answer) is error, f"expected {error.__name__}, got {self.answer!r}"
        assert re.search(match, str(self.answer)), f"{match!r} is not in {str(self.answer)!r}"
        return self.scene

    def then_caused_by(self, cause: Cause | None) -> Outcome:
        """Expect that the facts follow from this one; ``None`` for facts that begin a chain of their own."""
        assert cause_of(self.scene.hive, self.command, list(self._facts)) == cause
        return self

    @property
    def _facts(self) -> tuple[Fact, ...]:
        assert not isinstance(self.answer, Refused), f"expected no refusal, got {self.answer!r}"
        return self.answer
