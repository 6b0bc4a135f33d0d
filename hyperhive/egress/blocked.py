"""Turns refusals into facts, and never into a flood of them: an agent may ask a thousand times a second."""

from __future__ import annotations

import attrs

from hyperhive.egress.policy import Target

AGAIN_SECONDS = 600.0
"""A host that was told of is told of again after so long, if it is still asked for."""
MAX_TOLD = 8
"""Hosts of one agent that are told of in that time; what else it tries is counted."""
MAX_KNOWN = 64
"""Hosts of one agent whose attempts are counted each for itself."""


@attrs.frozen(kw_only=True)
class Told:
    """One refusal that is worth a fact; ``count`` are the attempts at this host since it was last told of."""

    agent: str
    target: Target
    count: int
    others: int
    """Attempts at hosts that nobody was told of, since the last fact of this agent."""


@attrs.define(kw_only=True)
class _Known:
    seen_at: float
    told_at: float | None = None
    untold: int = 0


@attrs.define
class _Agent:
    known: dict[Target, _Known] = attrs.field(factory=dict)
    others: int = 0

    def forget_old(self, now: float) -> None:
        for target in [target for target, known in self.known.items() if now - known.seen_at >= AGAIN_SECONDS]:
            self.others += self.known.pop(target).untold

    def told_recently(self, now: float) -> int:
        return sum(_recent(known.told_at, now) for known in self.known.values())


class Blocked:
    """Counts refusals, in bounded memory; times are a monotonic clock's seconds."""

    def __init__(self) -> None:
        self._agents: dict[str, _Agent] = {}

    def note(self, agent: str, target: Target, now: float) -> Told | None:
        """Count an attempt; return what is to be told of it, if anything is."""
        mine = self._agents.setdefault(agent, _Agent())
        mine.forget_old(now)
        known = mine.known.get(target)
        if known is None:
            if len(mine.known) >= MAX_KNOWN:
                mine.others += 1
                return None
            known = mine.known[target] = _Known(seen_at=now)
        known.seen_at = now
        known.untold += 1
        if _recent(known.told_at, now) or mine.told_recently(now) >= MAX_TOLD:
            return None
        count, others = known.untold, mine.others
        known.told_at, known.untold, mine.others = now, 0, 0
        return Told(agent=agent, target=target, count=count, others=others)

    def forget(self, agent: str) -> None:
        """Forget an agent that is no more."""
        self._agents.pop(agent, None)


def _recent(told_at: float | None, now: float) -> bool:
    return told_at is not None and now - told_at < AGAIN_SECONDS
