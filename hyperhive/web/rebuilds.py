"""Rebuilding every container that needs it, one after the other."""

from __future__ import annotations

import asyncio
import contextlib

from hyperhive.commands.agents import RebuildAgent
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Conflict, Refused
from hyperhive.events.envelope import Actor, Recorded
from hyperhive.projections import views


class Rebuilds:
    """One round at a time. A daemon that ends in the middle leaves the rest as they were: they still need it."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._round: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()

    def begin(self, actor: Actor) -> list[str]:
        """Begin a round; return whose it is. Raises `Conflict` while one is under way."""
        if self._round is not None and not self._round.done():
            raise Conflict("they are being rebuilt, one after the other; wait for the last")
        rows = views.agent_rows(self._dispatcher.hive)
        names = [row["name"] for row in rows if row["needs_update"] and row["pending"] is None]
        self._round = asyncio.create_task(self._each(names, actor), name="rebuilds")
        return names

    async def _each(self, names: list[str], actor: Actor) -> None:
        forget = self._dispatcher.listen(self._note)
        try:
            for name in names:
                # What was destroyed or begun by somebody else meanwhile is not this round's any more.
                with contextlib.suppress(Refused):
                    await self._dispatcher.dispatch(RebuildAgent(actor=actor, agent=name))
                    await self._settled(name)
        finally:
            forget()

    async def _settled(self, name: str) -> None:
        while (agent := self._dispatcher.hive.agents.get(name)) is not None and agent.pending is not None:
            self._moved.clear()
            await self._moved.wait()

    def _note(self, _facts: list[Recorded]) -> None:
        self._moved.set()
