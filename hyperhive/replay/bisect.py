"""The first position at which something was so: by halves where it can only become true, else by looking at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import attrs

from hyperhive.projections.hive import Hive
from hyperhive.replay.expression import Predicate
from hyperhive.replay.source import Source
from hyperhive.replay.watching import Watch

_BETWEEN_LOOKS = 64
"""Facts between two looks at the clock."""


@attrs.frozen(kw_only=True)
class Found:
    """What a search came to."""

    position: int | None
    """The first position at which it held; None where there was none among those looked at."""
    looked_from: int
    looked_to: int
    """It was looked for up to here; less than what was asked for where the time was up."""
    by_search: bool
    """Whether it was a binary search; else every position was looked at."""
    reason: str
    """Why it was searched in this way."""
    evaluations: int


class Standing(Protocol):
    """Where the past can be stood at."""

    def __call__(self, position: int) -> Hive:
        """Return the hive at a position, the caller's to fold on."""


@attrs.frozen(kw_only=True)
class Range:
    """Where to look: from one position to another, both included."""

    first: int
    last: int


def bisect(
    source: Source,
    stand: Standing,
    predicate: Predicate,
    within: Range,
    *,
    ends: list[int],
    destroyed: Callable[[frozenset[str] | None], bool],
    seconds: float,
) -> Found:
    """Find the first position in a range.

    ``ends`` are positions that are cheap to stand at. ``destroyed`` tells whether one of these agents (or any) was
    destroyed: then even a counter goes back. Raises `BadExpression`, `Unreplayable`.
    """
    deadline = time.monotonic() + seconds
    if not predicate.grows:
        reason = "nothing says that it stays so once it is, so every position was looked at"
        return _scan(source, stand, predicate, within, deadline=deadline, by_search=False, reason=reason)
    if predicate.agents != frozenset() and destroyed(predicate.agents):
        reason = "an agent was destroyed, and what it counted began anew, so every position was looked at"
        return _scan(source, stand, predicate, within, deadline=deadline, by_search=False, reason=reason)
    stops = [within.first, *(end for end in ends if within.first < end < within.last), within.last]
    evaluations = 0

    def holds(position: int) -> bool:
        nonlocal evaluations
        evaluations += 1
        return Watch(predicate, stand(position)).holds

    low, high = 0, len(stops)  # it does not hold at any stop before low; it holds from high on
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(stops[middle]) else (middle + 1, high)
    reason = "it can only become true, so checkpoints were searched by halves"
    if low == len(stops):
        return Found(
            position=None,
            looked_from=within.first,
            looked_to=within.last,
            by_search=True,
            reason=reason,
            evaluations=evaluations,
        )
    rest = Range(first=stops[low - 1] + 1 if low else within.first, last=stops[low])
    found = _scan(source, stand, predicate, rest, deadline=deadline, by_search=True, reason=reason)
    return attrs.evolve(found, looked_from=within.first, evaluations=evaluations + found.evaluations)


def _scan(
    source: Source,
    stand: Standing,
    predicate: Predicate,
    within: Range,
    *,
    deadline: float,
    by_search: bool,
    reason: str,
) -> Found:
    watch = Watch(predicate, stand(within.first))
    looked, found = within.first, within.first if watch.holds else None
    if found is None:
        for fact, _ in source.steps(within.first, within.last):
            looked = fact.position
            if watch.take(fact):
                found = looked
                break
            if looked % _BETWEEN_LOOKS == 0 and time.monotonic() > deadline:
                break
    return Found(
        position=found,
        looked_from=within.first,
        looked_to=looked,
        by_search=by_search,
        reason=reason,
        evaluations=watch.looked,
    )
