"""Sleeps to the earliest deadline of a question, and says when it has come.

While a daemon runs, time is what passes on the boot clock (monotonic, and it goes on while the machine sleeps), so
that a wall clock which jumps expires nothing early. Across restarts the wall clock is all there is: a deadline that
passed while no daemon ran has come at the next start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Unavailable
from hyperhive.commands.questions import ExpireQuestion
from hyperhive.events.envelope import DAEMON
from hyperhive.projections.questions import Question

log = structlog.get_logger("deadlines")

EXPIRE_AGAIN_SECONDS = 1.0
"""After a log without room refused."""
LONGEST_SLEEP_SECONDS = 30.0
"""The event loop's own clock stands still while the machine sleeps; after waking nothing is later than this."""


def boot_clock() -> float:
    """Seconds since the machine booted, its sleep included (clock_gettime(2), CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Deadlines:
    """The reactor."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        wall: Callable[[], int],
        boot: Callable[[], float] = boot_clock,
    ) -> None:
        self._dispatcher = dispatcher
        self._wall = wall
        """Microseconds since 1970."""
        self._boot = boot
        self._due: dict[int, float] = {}
        """By question: when it is due on the boot clock, as it was reckoned when the question was first seen."""

    async def tick(self) -> float | None:
        """Expire what is due; return the seconds until the next deadline, None where there is none."""
        waiting = {row.id: row for row in self._dispatcher.hive.questions.values() if row.deadline_at is not None}
        self._due = {id_: self._due.get(id_) or self._reckon(row) for id_, row in waiting.items()}
        now = self._boot()
        for id_, due in sorted(self._due.items()):
            if due <= now:
                await self._dispatcher.dispatch(ExpireQuestion(actor=DAEMON, question=id_))
        ahead = [due - now for due in self._due.values() if due > now]
        return min(ahead, default=None)

    async def run(self) -> None:
        """Tick at every deadline, and whenever facts arrive: one may have brought an earlier deadline."""
        woken = asyncio.Event()
        end = self._dispatcher.listen(lambda _facts: woken.set())
        try:
            while True:
                woken.clear()
                try:
                    ahead = await self.tick()
                except Unavailable as full:
                    log.warning("not_expired", reason=str(full))
                    ahead = EXPIRE_AGAIN_SECONDS
                try:
                    async with asyncio.timeout(
                        LONGEST_SLEEP_SECONDS if ahead is None else min(ahead, LONGEST_SLEEP_SECONDS)
                    ):
                        await woken.wait()
                except TimeoutError:
                    continue
        finally:
            end()

    def _reckon(self, row: Question) -> float:
        assert row.deadline_at is not None  # noqa: S101 - tick looked
        return self._boot() + (row.deadline_at - self._wall()) / 1_000_000
