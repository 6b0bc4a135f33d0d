"""Agents' lives in the plainest words: what may be asked when, what follows from it, what can happen at all.

It knows nothing of the code that it is held against: names of verbs and facts, and a few sentences about each.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs

QUARANTINE_CRASHES = 5
QUARANTINE_MICROSECONDS = 600 * 1_000_000
BEGINS = {
    "spawn": "SpawnRequested",
    "revive": "SpawnRequested",
    "start": "StartRequested",
    "kill": "KillRequested",
    "restart": "RestartRequested",
    "rebuild": "RebuildRequested",
    "destroy": "DestroyRequested",
    "purge": "DestroyRequested",
}
"""The intent of each verb."""
OPERATORS_OWN = {"spawn", "revive", "rebuild", "destroy", "purge", "pause", "resume", "lift", "freeze", "thaw"}
"""Verbs that the manager may not use."""
LEFT_RUNNING = {"Spawn", "Start", "Restart", "Rebuild"}


@attrs.define
class Life:
    """One agent, as the log tells of it."""

    state: str = "new"
    under_way: str | None = None
    """The first word of the open intent's fact: ``Start``."""
    wipes: bool = False
    generation: int = 0
    paused: bool = False
    quarantined: bool = False
    crashes: list[int] = attrs.field(factory=list)

    @property
    def has_container(self) -> bool:
        """Whether there is a container, running or not."""
        return self.state in ("running", "stopped")


@attrs.define
class Plain:
    """All agents, and what has come of every intent."""

    lives: dict[str, Life] = attrs.field(factory=dict)
    frozen: bool = False
    outcomes: Counter[int] = attrs.field(factory=Counter)
    """How many outcomes the intent at each position has."""
    seen: Counter[tuple[str, int]] = attrs.field(factory=Counter)
    """Crashes that were told of, by agent and generation."""
    _intents: dict[str, int] = attrs.field(factory=dict)

    # ── what may be asked ──

    def answer(self, verb: str, name: str, by: str) -> list[str] | str:
        """Say which facts follow from a verb, or the code of its refusal."""
        life = self.lives.get(name)
        if by == "agent" or (by == "manager" and (verb in OPERATORS_OWN or name == "manager")):
            return "forbidden"
        if verb in ("freeze", "thaw"):
            wanted = verb == "freeze"
            return [] if self.frozen == wanted else ["HiveFrozen" if wanted else "HiveThawed"]
        if verb in ("spawn", "revive", "purge"):
            return self._of_none(life, verb, by)
        if verb == "destroy" and name == "manager":
            return "conflict"
        if life is None or (life.under_way is None and not life.has_container):
            return "not_found"
        return self._of_container(life, verb, by)

    def _of_none(self, life: Life | None, verb: str, by: str) -> list[str] | str:
        """Verbs for who has no container."""
        if life is None:
            return ["SpawnRequested"] if verb == "spawn" else "not_found"
        if verb == "revive" and life.state == "new":
            return "not_found"
        return "conflict" if life.has_container else self._begin(life, verb, by)

    def _of_container(self, life: Life, verb: str, by: str) -> list[str] | str:
        match verb:
            case "pause" | "resume":
                wanted = verb == "pause"
                return [] if life.paused == wanted else ["AgentPaused" if wanted else "AgentResumed"]
            case "lift":
                return ["QuarantineLifted"] if life.quarantined else []
            case "start" | "kill" if life.under_way is None:
                if life.state == {"start": "running", "kill": "stopped"}[verb]:
                    return []
            case "destroy" if life.under_way == "Destroy" and life.wipes:
                return "conflict"
        return self._begin(life, verb, by)

    def _begin(self, life: Life, verb: str, by: str) -> list[str] | str:
        fact = BEGINS[verb]
        if life.under_way is not None:
            return [] if life.under_way == fact.removesuffix("Requested") else "conflict"
        if not life.quarantined or verb not in ("spawn", "revive", "start", "restart"):
            return [fact]
        return ["QuarantineLifted", fact] if by == "operator" else "forbidden"

    # ── what happens ──

    def happens(self, position: int, kind: str, data: dict[str, Any], at: int) -> None:
        """Take one fact, and fail where it cannot be."""
        if kind in ("HiveFrozen", "HiveThawed"):
            assert self.frozen == (kind == "HiveThawed")
            self.frozen = kind == "HiveFrozen"
            return
        if "agent" not in data or kind == "ContainerReaped":
            return
        name = data["agent"]
        life = self.lives.setdefault(name, Life())
        for end, take in (("Requested", self._asked), ("Succeeded", self._succeeded), ("Failed", self._failed)):
            if kind.endswith(end):
                take(position, kind.removesuffix(end), name, data)
                return
        self._comes(kind, life, data, at)

    def _asked(self, position: int, what: str, name: str, data: dict[str, Any]) -> None:
        life = self.lives[name]
        assert life.under_way is None, f"{what} of {name} while {life.under_way}"
        life.under_way, life.wipes = what, data.get("purge", False)
        self._intents[name] = position
        self.outcomes[position] = 0

    def _end(self, what: str, name: str) -> Life:
        life = self.lives[name]
        assert life.under_way == what, f"{what} of {name} ended while {life.under_way}"
        self.outcomes[self._intents.pop(name)] += 1
        life.under_way = None
        return life

    def _succeeded(self, _position: int, what: str, name: str, data: dict[str, Any]) -> None:
        life = self._end(what, name)
        if what in LEFT_RUNNING:
            assert data["generation"] == life.generation + 1
            life.state, life.generation = "running", data["generation"]
        elif what == "Kill":
            life.state = "stopped"
        elif data["purge"]:
            assert life.wipes
            del self.lives[name]
        else:
            life.state = "destroyed"

    def _failed(self, _position: int, what: str, name: str, data: dict[str, Any]) -> None:
        life = self._end(what, name)
        assert data["error"]
        if data.get("running", False):
            life.state = "running"
        elif life.state == "running":
            life.state = "stopped"

    def _comes(self, kind: str, life: Life, data: dict[str, Any], at: int) -> None:
        match kind:
            case "ContainerCrashed":
                assert (life.state, life.under_way, data["generation"]) == ("running", None, life.generation)
                life.state = "stopped"
                life.crashes.append(at)
                self.seen[data["agent"], data["generation"]] += 1
            case "ContainerLost":
                assert (life.state, data["generation"]) == ("running", life.generation)
                life.state = "stopped"
            case "AgentQuarantined":
                recent = [crash for crash in life.crashes if crash > at - QUARANTINE_MICROSECONDS]
                assert len(recent) >= QUARANTINE_CRASHES
                life.quarantined = True
            case "QuarantineLifted":
                assert life.quarantined
                life.quarantined = False
                life.crashes.clear()
            case "AgentPaused" | "AgentResumed":
                assert life.paused == (kind == "AgentResumed")
                life.paused = kind == "AgentPaused"

    @property
    def running(self) -> dict[str, int]:
        """Who runs, in which generation."""
        return {name: life.generation for name, life in self.lives.items() if life.state == "running"}

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._intents
