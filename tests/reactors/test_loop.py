"""The loop around a tick."""

from __future__ import annotations

import asyncio

import pytest

from hyperhive.reactors.loop import Interval, every
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


class TestInterval:
    """Time that may be changed while somebody waits for its end."""

    def test_shorter(self) -> None:
        """Who waits for a long time hears of a shorter one at once."""

        async def story() -> None:
            interval = Interval(1_000)
            waiting = asyncio.create_task(interval.wait())
            await asyncio.sleep(0)
            interval.change(0)
            await asyncio.wait_for(waiting, 10)

        run(story())

    def test_longer(self) -> None:
        """A longer time begins anew: what would have been over is not."""

        async def story() -> None:
            interval = Interval(0.02)
            waiting = asyncio.create_task(interval.wait())
            await asyncio.sleep(0)
            interval.change(1_000)
            done, _ = await asyncio.wait({waiting}, timeout=0.1)
            assert done == set()
            interval.change(1_000)
            waiting.cancel()

        run(story())

    def test_ticks_follow(self) -> None:
        """A loop that waits for its next tick has it at the new time."""

        async def story() -> None:
            ticks = asyncio.Semaphore(0)

            async def tick() -> None:
                ticks.release()

            interval = Interval(1_000)
            loop = asyncio.create_task(every(interval, tick, name="test"))
            await ticks.acquire()
            interval.change(0.001)
            for _ in range(3):
                await asyncio.wait_for(ticks.acquire(), 10)
            loop.cancel()

        run(story())
