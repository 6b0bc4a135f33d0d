"""A dispatcher on a real file, with a clock set by hand and an eye on what the file is told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hyperhive.commands.agents import ReportOutcome, SpawnAgent
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.events.envelope import DAEMON, OPERATOR
from hyperhive.events.log import read_only
from hyperhive.projections import database
from hyperhive.projections.hive import Hive
from tests.language import DAWN


class Desk:
    """The one writer of a hive in a test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = DAWN
        self.log, self.hive = database.open_hive(path)
        self.failures: list[Exception] = []
        self.statements: list[str] = []
        """What the file was told, in order."""
        self.log.connection.set_trace_callback(self.statements.append)
        self.dispatcher = Dispatcher(
            self.log,
            self.hive,
            clock=lambda: self.now,
            on_failure=self.failures.append,
        )

    @property
    def commits(self) -> int:
        """How often something was made durable."""
        return self.statements.count("COMMIT")

    def reopened(self) -> Desk:
        """Close the file and open it as a new daemon does."""
        self.log.close()
        return Desk(self.path)

    def loaded(self) -> Hive:
        """Return the hive as a new daemon would find it now."""
        reader = read_only(self.path)
        try:
            return database.load(reader)
        finally:
            reader.close()

    async def spawn(self, *names: str) -> None:
        """Let containers run."""
        for name in names:
            (asked,) = await self.dispatcher.dispatch(SpawnAgent(actor=OPERATOR, agent=name))
            await self.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent=name, intent=asked.position))


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run a story in an event loop of its own; it has a minute."""
    asyncio.run(asyncio.wait_for(story, timeout=60))
