"""Tells the log of refusals; the proxy itself does not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.egress import ReportEgressBlocked
from hyperhive.commands.errors import Refused
from hyperhive.egress.blocked import Blocked, Told
from hyperhive.egress.policy import Target
from hyperhive.events.egress import EgressBlocked
from hyperhive.events.envelope import DAEMON
from hyperhive.events.log import LogFailed

log = structlog.get_logger("egress")


class Telling:
    """Called for every refusal."""

    def __init__(self, dispatcher: Dispatcher, *, clock: Callable[[], float]) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._blocked = Blocked()
        self._telling: set[asyncio.Task[None]] = set()

    def __call__(self, agent: str, target: Target) -> None:
        """Count one refusal, and begin to tell of it where that is due."""
        told = self._blocked.note(agent, target, self._clock())
        if told is not None:
            task = asyncio.ensure_future(self._tell(told))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def drain(self) -> None:
        """Return once all that was begun is told."""
        await asyncio.gather(*self._telling)

    async def _tell(self, told: Told) -> None:
        blocked = EgressBlocked(
            agent=told.agent, host=told.target.host, port=told.target.port, count=told.count, others=told.others
        )
        try:
            await self._dispatcher.dispatch(ReportEgressBlocked(actor=DAEMON, blocked=blocked))
        except (Refused, LogFailed) as error:
            log.warning("blocked_untold", stream=blocked.stream, host=blocked.host, reason=str(error))
