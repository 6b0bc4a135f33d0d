"""What led to what, whom each fact is about, what stands out: from the store, of the newest facts from the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import attrs

from hyperhive.replay.keeper import Keeper, mark_of
from hyperhive.replay.marking import Kind, agent_of
from hyperhive.replay.source import Source
from hyperhive.replay.store import Store

WINDOW = 65_536
"""Positions looked through between two looks at the clock."""


@attrs.frozen(kw_only=True)
class Mark:
    """A fact that stands out on a track."""

    position: int
    at: int
    kind: Kind
    agent: str | None


@attrs.frozen(kw_only=True)
class Filter:
    """Which facts to list; what is not named lets all through."""

    agent: str | None = None
    """It is about this agent, or this agent did it."""
    types: tuple[str, ...] = ()
    actor: str | None = None
    """As the log has it (``operator:anna``, ``agent:coder``, ``daemon``), or the name alone."""
    text: str | None = None
    """Stands somewhere in the fact's data; upper and lower case are one."""


class _Row(NamedTuple):
    position: int
    type: str
    agent: str | None
    actor: str
    cause: int | None
    mark: tuple[int, int, str, str | None] | None


class Index:
    """Answers about all facts up to a position that `reach` was asked for."""

    def __init__(self, source: Source, store: Store, keeper: Keeper) -> None:
        self._source = source
        self._store = store
        self._keeper = keeper
        self._tail: list[_Row] = []
        self._tail_from = 0

    def reach(self, head: int) -> None:
        """Know every fact up to ``head``; raises `Unreplayable`, and then knows what is before the break."""
        self._keeper.keep(head)
        last = self._store.last
        if self._tail_from != last:
            self._tail, self._tail_from = [], last
        for fact, _ in self._source.steps(last + len(self._tail), head):
            self._tail.append(_Row(fact.position, fact.type, agent_of(fact), fact.actor, fact.causation, mark_of(fact)))

    def followers(self, position: int, most: int) -> list[int]:
        """Return the facts that a fact directly led to, oldest first."""
        sql = "SELECT position FROM links WHERE cause = ? AND position > cause ORDER BY position LIMIT ?"
        found = [row[0] for row in self._store.select(sql, position, most)]
        found += [row.position for row in self._tail if row.cause == position < row.position]
        return found[:most]

    def next_crash(self, agent: str, *, after: int) -> int | None:
        """Return the next crash of an agent's container."""
        sql = "SELECT position FROM marks WHERE kind = ? AND agent = ? AND position > ? ORDER BY position LIMIT 1"
        found = self._store.select(sql, Kind.CRASH.value, agent, after)
        found += [
            (row.position,)
            for row in self._tail
            if row.mark is not None and row.mark[2:] == (Kind.CRASH.value, agent) and row.position > after
        ]
        return found[0][0] if found else None

    def marks(self, *, after: int, until: int, most: int) -> list[Mark]:
        """Return what stands out in a range, the newest so many, oldest first."""
        sql = "SELECT * FROM marks WHERE position > ? AND position <= ? ORDER BY position DESC LIMIT ?"
        kept = self._store.select(sql, after, until, most)[::-1]
        rows = [*kept, *(row.mark for row in self._tail if row.mark is not None and after < row.position <= until)]
        return [Mark(position=row[0], at=row[1], kind=Kind(row[2]), agent=row[3]) for row in rows[-most:]]

    def counted(self, *, head: int, parts: int) -> Iterator[tuple[int, Kind, int]]:
        """Yield for each of so many equal parts of the log how much of each kind stands out in it."""
        sql = "SELECT (position - 1) * ? / ?, kind, count(*) FROM marks WHERE position <= ? GROUP BY 1, 2"
        for part, kind, count in self._store.select(sql, parts, head, head):
            yield part, Kind(kind), count
        for row in self._tail:
            if row.mark is not None and row.position <= head:
                yield (row.position - 1) * parts // head, Kind(row.mark[2]), 1

    def matching(self, wanted: Filter, *, low: int, high: int, newest_first: bool) -> Iterator[list[int]]:
        """Yield the positions from ``low`` to ``high`` that fit all but the text, one window after the other."""
        last = self._store.last
        tail = [row.position for row in self._tail if low <= row.position <= high and _fits(row, wanted)]
        windows = [(first, min(first + WINDOW - 1, high, last)) for first in range(low, min(high, last) + 1, WINDOW)]
        if newest_first:
            yield tail[::-1]
            windows.reverse()
        condition, parameters = self._condition(wanted)
        order = "DESC" if newest_first else "ASC"
        sql = f"SELECT position FROM facts WHERE position BETWEEN ? AND ?{condition} ORDER BY position {order}"  # noqa: S608
        for first, end in windows:
            yield [row[0] for row in self._store.select(sql, first, end, *parameters)]
        if not newest_first:
            yield tail

    def _condition(self, wanted: Filter) -> tuple[str, list[int]]:
        terms: list[str] = []
        parameters: list[int] = []

        def among(column: str, names: Iterable[str]) -> str:
            ids = [id_ for name in names if (id_ := self._store.id_of(name)) is not None]
            parameters.extend(ids)
            return f"{column} IN ({', '.join('?' * len(ids))})"

        if wanted.types:
            terms.append(among("type", wanted.types))
        if wanted.agent is not None:
            terms.append(f"({among('agent', [wanted.agent])} OR {among('actor', _actors(wanted.agent))})")
        if wanted.actor is not None:
            terms.append(among("actor", _actors(wanted.actor)))
        return "".join(f" AND {term}" for term in terms), parameters


def _actors(name: str) -> tuple[str, ...]:
    return (name, f"agent:{name}", f"operator:{name}")


def _fits(row: _Row, wanted: Filter) -> bool:
    return (
        (not wanted.types or row.type in wanted.types)
        and (wanted.agent is None or row.agent == wanted.agent or row.actor in _actors(wanted.agent))
        and (wanted.actor is None or row.actor in _actors(wanted.actor))
    )
