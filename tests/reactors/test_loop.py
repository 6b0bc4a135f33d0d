"""The loop around a tick."""

from __future__ import annotations

import asyncio

import pytest

from hyperhive.reactors.loop import every
from tests.reactors.stage import run


class TestEvery:
    """Now, and then every so often."""

    def test_goes_on(self) -> None:
        """A tick that fails is followed by the next one."""
        ticks = 0
        done = asyncio.Event()

        async def tick() -> None:
            nonlocal ticks
            ticks += 1
            if ticks == 3:
                done.set()
            raise OSError("it is broken")

        async def story() -> None:
            loop = asyncio.create_task(every(0, tick, name="test"))
            await done.wait()
            loop.cancel()
            with pytest.raises(asyncio.CancelledError):
                await loop

        run(story())
