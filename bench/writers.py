"""Concurrent writers, and the least group commit that serves them: the load that log and peers are measured under."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

WRITERS = 64


class GroupCommit:
    """Collects what its writers want to append in one turn of the loop, and appends it at once."""

    def __init__(self, append: Callable[[list[int]], object]) -> None:
        self._append = append
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def put(self, writer: int) -> asyncio.Future[None]:
        """Want to append; the future is done once it is durable."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._flush)
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append((writer, future))
        return future

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        self._append([writer for writer, _ in batch])
        for _, future in batch:
            future.set_result(None)


def append_together(append: Callable[[list[int]], object], *, each: int) -> None:
    """Let the writers append so often each, every one waiting for its own answer before its next."""

    async def write(group: GroupCommit, writer: int) -> None:
        for _ in range(each):
            await group.put(writer)

    async def story() -> None:
        group = GroupCommit(append)
        await asyncio.gather(*(write(group, writer) for writer in range(WRITERS)))

    asyncio.run(story())
