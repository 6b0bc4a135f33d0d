"""The deadlines reactor, while the log has no room."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hyperhive.commands.questions import AskQuestion
from hyperhive.events.envelope import MANAGER
from hyperhive.reactors.deadlines import Deadlines
from tests.commands.desk import Desk
from tests.reactors.stage import full, run, until


class TestWithoutRoom:
    """A full disk."""

    def test_goes_on(self, hive_db: Path) -> None:
        """A deadline that the log has no room for does not end the reactor: it comes when there is room."""

        async def story() -> None:
            desk = Desk(hive_db)
            await desk.dispatcher.dispatch(AskQuestion(actor=MANAGER, question="now?", ttl_seconds=60))
            async with full(desk):
                deadlines = Deadlines(desk.dispatcher, wall=lambda: desk.now + 61_000_000, boot=lambda: 0.0)
                reactor = asyncio.create_task(deadlines.run())
                tried = desk.statements.count("BEGIN IMMEDIATE")
                await until(lambda: desk.statements.count("BEGIN IMMEDIATE") > tried)
                assert not reactor.done()
            await desk.dispatcher.dispatch(AskQuestion(actor=MANAGER, question="something that wakes it"))
            await until(lambda: all(row.deadline_at is None for row in desk.hive.questions.values()))
            reactor.cancel()

        run(story())
