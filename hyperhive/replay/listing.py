"""Facts as they are listed, page by page as a filter lets them through, and counted along a track."""

from __future__ import annotations

import time
from typing import Any

import attrs

from hyperhive.events.envelope import Recorded
from hyperhive.replay.index import Filter, Index
from hyperhive.replay.marking import Kind, agent_of
from hyperhive.replay.source import Source
from hyperhive.replay.telling import plain, told

SEARCH_SECONDS = 2.0
"""For one page of a search; what was not looked through by then is for the next one."""
_LOOKED_AT_ONCE = 256


@attrs.frozen(kw_only=True)
class Event:
    """One fact as it is listed."""

    position: int
    at: int
    """Microseconds since 1970."""
    type: str
    stream: str
    actor: str
    agent: str | None
    correlation: int
    causation: int | None
    data: dict[str, Any]
    words: str


@attrs.frozen(kw_only=True)
class Page:
    """Some of the facts that a filter lets through."""

    events: tuple[Event, ...]
    next: int | None
    """Where to go on: ``before`` (or ``after``) for the next page; None where there is no more."""


@attrs.frozen(kw_only=True)
class Stretch:
    """One of the equal parts that a track has, and how much of each kind stands out in it."""

    first: int
    last: int
    counts: dict[Kind, int]


def event_of(fact: Recorded) -> Event:
    """Return a fact as it is listed."""
    return Event(
        position=fact.position,
        at=fact.at,
        type=fact.type,
        stream=fact.stream,
        actor=fact.actor,
        agent=agent_of(fact),
        correlation=fact.correlation,
        causation=fact.causation,
        data=plain(fact.event),
        words=told(fact),
    )


@attrs.frozen
class Search:
    """Looks for the facts that a filter lets through."""

    source: Source
    index: Index
    wanted: Filter
    newest_first: bool

    def page(self, low: int, high: int, *, most: int, seconds: float) -> Page:
        """Return so many of those between two positions, and where to go on."""
        found, looked = self._found(low, high, most=most, seconds=seconds)
        facts = self.source.facts(found)
        return Page(events=tuple(event_of(facts[position]) for position in found), next=looked)

    def _found(self, low: int, high: int, *, most: int, seconds: float) -> tuple[list[int], int | None]:
        found: list[int] = []
        deadline = time.monotonic() + seconds
        looked: int | None = None
        for window in self.index.matching(self.wanted, low=low, high=high, newest_first=self.newest_first):
            for begin in range(0, len(window), _LOOKED_AT_ONCE):
                some = window[begin : begin + _LOOKED_AT_ONCE]
                for position in self._with_text(some):
                    if len(found) == most:
                        return found, found[-1]
                    found.append(position)
                looked = some[-1]
                if time.monotonic() > deadline and self.wanted.text is not None:
                    return found, looked
        return found, None

    def _with_text(self, positions: list[int]) -> list[int]:
        if self.wanted.text is None:
            return positions
        wanted = self.wanted.text.casefold()
        return [at for at, data in self.source.texts(positions) if wanted in _unescaped(data).casefold()]


def _unescaped(data: str) -> str:
    return data.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")


def stretches(index: Index, *, head: int, parts: int) -> list[Stretch]:
    """Cut a log into equal parts, and count what stands out in each."""
    counts: dict[int, dict[Kind, int]] = {}
    for part, kind, count in index.counted(head=head, parts=parts):
        kinds = counts.setdefault(part, {})
        kinds[kind] = kinds.get(kind, 0) + count
    # Part n begins at the smallest position p with (p - 1) * parts // head == n.
    edges = [-(-part * head // parts) + 1 for part in range(parts + 1)]
    return [Stretch(first=edges[part], last=edges[part + 1] - 1, counts=counts.get(part, {})) for part in range(parts)]
