"""What is read from the tables: newest first, open or closed, by an index each."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from pathlib import Path

import pytest

from hyperhive.commands.messages import AcknowledgeMail, SendMessage, TakeMail
from hyperhive.events.envelope import OPERATOR, actor_of_agent
from hyperhive.projections.history import History
from tests.commands.desk import Desk

NAMES = ("coder", "reviewer")


@pytest.fixture
def desk(hive_db: Path) -> Desk:
    """Return a dispatcher of an empty hive."""
    return Desk(hive_db)


async def fill(desk: Desk) -> dict[str, list[int]]:
    """Write by turns to two inboxes; every other message is read. Returns the ids in each, its kick included."""
    for name in NAMES:
        await desk.spawn(name)
    ids: dict[str, list[int]] = {name: [row.id for row in desk.hive.messages.group(name).values()] for name in NAMES}
    for number, name in itertools.product(range(6), NAMES):
        (sent,) = await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to=name, body=f"number {number}"))
        ids[name].append(sent.position)
        if number % 2:
            agent = actor_of_agent(name)
            await desk.dispatcher.dispatch(TakeMail(actor=agent, to=name))
            await desk.dispatcher.dispatch(AcknowledgeMail(actor=agent, to=name, ids=(sent.position,)))
    return ids


class TestInbox:
    def test_newest_first(self, desk: Desk, hive_db: Path) -> None:
        """The newest messages of one inbox, read and unread ones in one order; so many, and before an id."""
        ids = asyncio.run(fill(desk))
        with contextlib.closing(History(hive_db)) as history:
            for name in NAMES:
                newest = ids[name][::-1]
                rows = history.recent(name, 100)
                assert [(row.id, row.to) for row in rows] == [(id_, name) for id_ in newest]
                assert {row.delivered_at is None for row in rows} == {True, False}
                assert [row.id for row in history.recent(name, 3)] == newest[:3]
                assert [row.id for row in history.recent(name, 3, before=newest[1])] == newest[2:5]
                assert history.count(name) == len(newest)
                assert history.count(name, before=newest[1]) == len(newest) - 2

    def test_by_index(self, desk: Desk, hive_db: Path) -> None:
        """No look at an inbox goes through the closed messages of the others."""
        asyncio.run(fill(desk))
        asked: list[str] = []
        with contextlib.closing(History(hive_db)) as history:
            history._connection.set_trace_callback(asked.append)
            history.recent("coder", 3)
            history.count("coder")
            history._connection.set_trace_callback(None)
        assert len(asked) == 3
        plans = [row[-1] for sql in asked for row in desk.log.connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
        looks = [plan for plan in plans if "messages" in plan]
        assert len(looks) == 4
        assert all("messages_open" in look or "messages_closed (to=? AND id<?)" in look for look in looks), looks
