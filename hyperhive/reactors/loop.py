"""The loop around a tick."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger("reactors")


class Interval:
    """The seconds between two ticks; they may be changed while somebody waits for the next one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = asyncio.Event()

    def change(self, seconds: float) -> None:
        """Let it be another time, which begins now."""
        if seconds != self._seconds:
            self._seconds = seconds
            self._changed.set()

    async def wait(self) -> None:
        """Return when the time is over."""
        while True:
            self._changed.clear()
            try:
                async with asyncio.timeout(self._seconds):
                    await self._changed.wait()
            except TimeoutError:
                return


async def every(interval: Interval | float, tick: Callable[[], Awaitable[None]], *, name: str) -> None:
    """Call ``tick`` now and then every so often; one that fails is said in the log and tried again at the next time."""
    pause = interval if isinstance(interval, Interval) else Interval(interval)
    while True:
        try:
            await tick()
        except Exception:
            log.exception("tick_failed", reactor=name)
        await pause.wait()
