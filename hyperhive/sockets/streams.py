"""The open turn-stream files, written in a thread of their own: a slow disk there never holds up the log."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import stat
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hyperhive.events.stream_store import StreamStore


class TurnStreams:
    """Appends to agents' streams, one batch after the other."""

    def __init__(
        self, path_of: Callable[[str], Path], *, clock: Callable[[], int] = lambda: time.time_ns() // 1_000
    ) -> None:
        self._path_of = path_of
        self._clock = clock
        """Microseconds since 1970."""
        self._listeners: list[Callable[[str], None]] = []
        self._stores: dict[str, StreamStore] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="streams")

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call ``listener`` with the agent's name whenever something came into its stream and is written."""
        self._listeners.append(listener)

    async def append(self, agent: str, run: str, first: int, events: Sequence[dict[str, Any]]) -> int:
        """Keep a batch; return the number expected next once it is written.

        Raises `StreamGap`, and `sqlite3.Error` where the file cannot be written.
        """
        loop = asyncio.get_running_loop()
        expected = await loop.run_in_executor(self._thread, self._append, agent, run, first, events)
        for listener in self._listeners:
            listener(agent)
        return expected

    async def trim(self, agent: str, *, before: int, keep: int) -> int:
        """Remove what came before a moment (microseconds since 1970) or is not among the newest; return how many.

        An agent without a file has nothing to lose. Raises `sqlite3.Error` and `OSError`.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._trim, agent, before, keep)

    async def forget(self, agent: str) -> None:
        """Close an agent's file, before its directory goes."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._forget, agent)

    def close(self) -> None:
        """Write what is under way and close every file."""
        self._thread.shutdown(wait=True)
        for store in self._stores.values():
            store.close()

    def _append(self, agent: str, run: str, first: int, events: Sequence[dict[str, Any]]) -> int:
        store = self._stores.get(agent)
        if store is None:
            store = self._stores[agent] = StreamStore(self._path_of(agent), clock=self._clock)
        try:
            return store.append(run, first, events)
        except sqlite3.Error:
            self._forget(agent)  # the next batch opens the file anew
            raise

    def _trim(self, agent: str, before: int, keep: int) -> int:
        store = self._stores.get(agent)
        if store is not None:
            return store.trim(before=before, keep=keep)
        path = self._path_of(agent)
        if not stat.S_ISREG(path.lstat().st_mode if path.exists() else 0):
            return 0
        with contextlib.closing(StreamStore(path, clock=self._clock)) as store:
            return store.trim(before=before, keep=keep)

    def _forget(self, agent: str) -> None:
        store = self._stores.pop(agent, None)
        if store is not None:
            store.close()
