"""What approvals would change, ready to be shown: git is asked beside the pages, which never wait for it."""

from __future__ import annotations

import asyncio
from typing import Protocol

import attrs

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Refused
from hyperhive.projections.approvals import Approval, Work
from hyperhive.projections.configurations import commit_of
from hyperhive.proposals.proposals import Proposals, Review

Key = tuple[int, str | None, str | None]
"""An approval, its commit and what is applied: what a review is of."""


class Reviewing(Protocol):
    """Knows what approvals would change."""

    def of(self, row: Approval) -> Review | str | None:
        """Return a review, or why there is none; None where it is still looked at."""

    def known(self) -> tuple[Key, ...]:
        """Return which reviews are ready."""


@attrs.define
class Reviews:
    """The reviews of what waits for a decision; others are forgotten."""

    dispatcher: Dispatcher
    proposals: Proposals
    _ready: dict[Key, Review | str] = attrs.field(factory=dict, init=False)
    _asked: dict[Key, asyncio.Task[None]] = attrs.field(factory=dict, init=False)

    def of(self, row: Approval) -> Review | str | None:
        """Return a review, or why there is none; None where it is still looked at, and soon known."""
        key = self._key(row)
        found = self._ready.get(key)
        if found is None and key not in self._asked:
            self._asked[key] = asyncio.create_task(self._look(key), name=f"review {row.id}")
        return found

    def known(self) -> tuple[Key, ...]:
        """Return which reviews are ready, and forget those of what is decided or has moved."""
        wanted = {self._key(row) for row in self._pending()}
        for key in self._ready.keys() - wanted:
            del self._ready[key]
        return tuple(sorted(self._ready, key=str))

    def _pending(self) -> list[Approval]:
        return [row for row in self.dispatcher.hive.approvals.values() if row.work is Work.DECIDE]

    def _key(self, row: Approval) -> Key:
        return row.id, row.commit, commit_of(self.dispatcher.hive.configurations, row.agent)

    async def _look(self, key: Key) -> None:
        try:
            found: Review | str = await self.proposals.review(key[0])
        except Refused as refused:
            found = str(refused)
        finally:
            del self._asked[key]
        if isinstance(found, str) or (found.row.commit, found.base) == key[1:]:
            self._ready[key] = found
