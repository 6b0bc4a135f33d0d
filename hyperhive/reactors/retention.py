"""Forgets what is old: delivered messages, the oldest of every turn stream, answered command ids. Never the log."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Unavailable
from hyperhive.commands.retention import ForgetMessages, ReportStreamsTrimmed
from hyperhive.config import RetentionConfig
from hyperhive.events.envelope import DAEMON
from hyperhive.events.log import read_only
from hyperhive.events.reading import position_before
from hyperhive.projections.agents import Transient
from hyperhive.projections.expiry import Due, due
from hyperhive.projections.messages import MESSAGES

log = structlog.get_logger("retention")

INTERVAL_SECONDS = 3_600.0
DAY_MICROSECONDS = 86_400_000_000
AT_ONCE = 2_000
"""Messages forgotten by one fact, command ids by one commit: some 20 ms in which the writer does nothing else."""
ANSWER_DAYS = 30
"""A client that repeats a command does so within minutes; a report that a harness kept spooled, within days."""


class Streams(Protocol):
    """The agents' turn streams, as their writer trims them."""

    async def trim(self, agent: str, *, before: int, keep: int) -> int:
        """Remove what came before a moment (microseconds since 1970) or is not among the newest; return how many."""


class Retention:
    """The reactor. Each tick does all that is due; one that is cut off is simply done again."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        path: Path,
        streams: Streams,
        limits: RetentionConfig,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._dispatcher = dispatcher
        self._path = path
        self._streams = streams
        self._limits = limits
        self._clock = clock
        """Microseconds since 1970."""

    def adjust(self, limits: RetentionConfig) -> None:
        """Follow a changed configuration, from the next tick on."""
        self._limits = limits

    async def tick(self) -> None:
        """Forget what is due now; what a log without room refuses waits for the next tick."""
        now = self._clock()
        for forget in (self._forget_messages, self._trim_streams, self._forget_answers):
            try:
                await forget(now)
            except Unavailable as full:
                log.warning("not_forgotten", reason=str(full))

    async def _forget_messages(self, now: int) -> None:
        before = now - self._limits.delivered_days * DAY_MICROSECONDS
        count = 0
        try:
            while (found := await asyncio.to_thread(self._due, before)) is not None:
                await self._dispatcher.dispatch(ForgetMessages(actor=DAEMON, before=found.before, count=found.count))
                count += found.count
        finally:
            if count:
                log.info("messages_forgotten", count=count, days=self._limits.delivered_days)

    def _due(self, before: int) -> Due | None:
        with contextlib.closing(read_only(self._path)) as connection:
            return due(connection, MESSAGES, before=before, most=AT_ONCE)

    async def _trim_streams(self, now: int) -> None:
        before, keep = now - self._limits.stream_days * DAY_MICROSECONDS, self._limits.stream_events
        trimmed: dict[str, int] = {}
        for name in list(self._dispatcher.hive.agents):
            agent = self._dispatcher.hive.agents.get(name)
            if agent is None or agent.pending is Transient.DESTROYING:
                continue  # its directory may be going
            try:
                count = await self._streams.trim(name, before=before, keep=keep)
            except (sqlite3.Error, OSError) as error:
                log.warning("stream_not_trimmed", stream=f"agent-{name}", error=str(error))
                continue
            if count:
                trimmed[name] = count
                log.info("stream_trimmed", stream=f"agent-{name}", events=count)
        await self._dispatcher.dispatch(
            ReportStreamsTrimmed(actor=DAEMON, agents=tuple(trimmed), events=sum(trimmed.values()))
        )

    async def _forget_answers(self, now: int) -> None:
        """Take the ids a page at a time: a reader finds them in a thread, the writer only deletes them by their key."""
        before = now - ANSWER_DAYS * DAY_MICROSECONDS
        count = 0
        while ids := await asyncio.to_thread(self._answered, before):
            self._dispatcher.forget_answers(ids)
            count += len(ids)
        if count:
            log.info("command_ids_forgotten", count=count, days=ANSWER_DAYS)

    def _answered(self, before: int) -> list[tuple[str, str]]:
        """Return some of the command ids that were answered before a moment, each with its actor."""
        with contextlib.closing(read_only(self._path)) as connection:
            last = position_before(connection, before)
            sql = "SELECT actor, id FROM commands WHERE last <= ? LIMIT ?"
            return connection.execute(sql, (last, AT_ONCE)).fetchall()
