"""Keeps checkpoints of the past while the daemon runs, so that whoever looks at it later need not wait."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import structlog

from hyperhive.replay.keeper import Keeper
from hyperhive.replay.source import Source, Unreplayable
from hyperhive.replay.store import BLOCK, BadStore, Store, open_store

log = structlog.get_logger("checkpoints")

INTERVAL_SECONDS = 60.0


class Remembering:
    """The background writer. It reads the log as anybody may, in a thread; nothing in the daemon waits for it.

    What fails is said once, and then there are no new checkpoints until the next start: they are derived from the log,
    and whoever needs one that is not there folds a little more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._source: Source | None = None
        self._store: Store | None = None
        self._keeper: Keeper | None = None
        self._ended = False

    async def tick(self) -> None:
        """Keep each block that has become whole, and rest as long as that took before the next one."""
        while True:
            begun = time.perf_counter()
            if not await asyncio.to_thread(self._step):
                return
            await asyncio.sleep(time.perf_counter() - begun)

    def close(self) -> None:
        """Close the files, once the block that is being kept is done."""
        with self._lock:
            self._ended = True
            for opened in (self._store, self._source):
                if opened is not None:
                    opened.close()

    def _step(self) -> bool:
        with self._lock:
            try:
                return not self._ended and self._kept_one()
            except (BadStore, Unreplayable, OSError) as error:
                self._ended = True
                log.warning("no_checkpoints", reason=str(error), until="the next start")
                return False

    def _kept_one(self) -> bool:
        if self._source is None:
            self._source = Source(self._path)
        head = self._source.head
        if head < BLOCK:
            return False  # a young hive needs none, and gets no file
        if self._keeper is None:
            self._store = open_store(self._path)
            self._store.adopt(self._source.agrees)
            self._keeper = Keeper(self._source, self._store)
        return self._keeper.step(head)
