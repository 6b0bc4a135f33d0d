"""The loop around a tick."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger("reactors")


async def every(seconds: float, tick: Callable[[], Awaitable[None]], *, name: str) -> None:
    """Call ``tick`` now and then every so often; one that fails is said in the log and tried again at the next time."""
    while True:
        try:
            await tick()
        except Exception:
            log.exception("tick_failed", reactor=name)
        await asyncio.sleep(seconds)
