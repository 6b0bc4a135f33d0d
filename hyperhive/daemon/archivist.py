"""Archives while the daemon runs: the work in a thread, the one short transaction where every other is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.events import archiving
from hyperhive.events.segments import Kept

log = structlog.get_logger("archivist")


class Archivist:
    """Writes one segment at a time."""

    def __init__(self, dispatcher: Dispatcher, path: Path) -> None:
        self._dispatcher = dispatcher
        self._path = path
        self._busy = asyncio.Lock()

    async def next(self, until: int) -> Kept | None:
        """Move the oldest facts, at most up to a position, into a segment; None where none are left.

        Raises what `archiving.write` and `Dispatcher.leave` raise.
        """
        async with self._busy:
            segment = await asyncio.to_thread(archiving.write, self._path, until)
            if segment is not None:
                self._dispatcher.leave(segment)
                log.info("archived", first=segment.first, last=segment.last, file=segment.file)
            return segment
