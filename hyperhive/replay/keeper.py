"""Makes checkpoints: folds a log block by block, each fact checked against the chain, and keeps what was folded."""

from __future__ import annotations

from collections.abc import Callable

from hyperhive.events.envelope import Recorded
from hyperhive.projections.hive import Hive
from hyperhive.replay.marking import agent_of, kind_of
from hyperhive.replay.snapshot import BadSnapshot
from hyperhive.replay.source import Source, Step
from hyperhive.replay.store import Block, Store


class Keeper:
    """Keeps a store up with a log. One thread at a time."""

    def __init__(self, source: Source, store: Store) -> None:
        self._source = source
        self._store = store
        self._hive: Hive | None = None
        """As it stood after the last block, while that is the store's last one."""

    def keep(self, until: int, said: Callable[[int], None] = lambda _: None) -> None:
        """Keep every whole block up to a position; ``said`` is told each block's end.

        Raises `Unreplayable` for a log that is broken in between; what is before stays kept.
        """
        while self.step(until):
            said(self._store.last)

    def step(self, until: int) -> bool:
        """Keep the next whole block, if there is one."""
        begun = self._store.last
        end = begun + self._store.block
        if end > until:
            return False
        hive = (
            self._hive
            if self._hive is not None and self._hive.position == begun
            else stand(self._source, self._store, begun)
        )
        self._hive = None  # half folded, should the log be broken
        steps = list(self._source.steps(begun, end))
        hive.fold_all(recorded for recorded, _ in steps)
        self._store.put(_block(steps), hive)
        self._hive = hive
        return True


def stand(source: Source, store: Store, position: int) -> Hive:
    """Return the hive as it stood: the nearest checkpoint that can be read, and what came after it."""
    hive = nearest(source, store, position)
    hive.fold_all(recorded for recorded, _ in source.steps(hive.position, position))
    return hive


def nearest(source: Source, store: Store, position: int) -> Hive:
    """Return the newest checkpoint up to a position, an empty hive where there is none.

    One that is damaged, or not of this log, is passed over: the one before it costs a little more.
    """
    for checkpoint in store.checkpoints(until=position):
        if not source.agrees(checkpoint.position, checkpoint.hash):
            continue
        try:
            return checkpoint.hive()
        except BadSnapshot:
            continue
    return Hive()


def _block(steps: list[Step]) -> Block:
    facts = [recorded for recorded, _ in steps]
    return Block(
        last=facts[-1].position,
        hash=steps[-1][1],
        facts=[(fact.position, fact.type, agent_of(fact), fact.actor) for fact in facts],
        links=[(fact.causation, fact.position) for fact in facts if fact.causation is not None],
        marks=[mark for fact in facts if (mark := mark_of(fact)) is not None],
    )


def mark_of(fact: Recorded) -> tuple[int, int, str, str | None] | None:
    """Return a fact that stands out as the store keeps it."""
    kind = kind_of(fact)
    return None if kind is None else (fact.position, fact.at, kind.value, agent_of(fact))
