"""`archive` over host.sock: segments while the daemon is at work."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hyperhive.commands.messages import SendMessage
from hyperhive.events import chain
from hyperhive.events.envelope import OPERATOR
from hyperhive.events.log import read, read_only
from hyperhive.replay.verify import verify
from tests.events.archived import FACTS, small
from tests.sockets.hall import Hall, hall

__all__ = ["small"]


async def send(here: Hall, count: int) -> None:
    """Let facts come."""
    for number in range(count):
        await here.desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="operator", body=str(number)))


async def ask(here: Hall, until: int) -> dict[str, Any]:
    """Ask for one segment on a connection of its own."""
    client = await here.operator()
    return await client.ask({"cmd": "archive", "until": until})


@pytest.mark.usefixtures("small")
class TestArchive:
    """A daemon that archives its log."""

    def test_segments(self, place: Path, migrated: Path) -> None:
        """Each request moves one segment, until there is none; the hive goes on meanwhile, and all of it is there."""

        async def story() -> None:
            async with hall(place, migrated) as here:
                await send(here, 60)
                head = here.desk.hive.position
                moved: list[Any] = []
                while (reply := await ask(here, head))["segment"] is not None:
                    assert reply["ok"] is True
                    moved.append((reply["segment"]["first"], reply["segment"]["last"]))
                    await send(here, 3)
                assert moved == [(first, first + FACTS - 1) for first in range(1, head, FACTS)]
                assert here.desk.failures == []
                path = here.directories.hive_db
                assert [fact.position for fact in read(read_only(path))] == list(range(1, here.desk.hive.position + 1))
                assert chain.verify(path).count == verify(path).position == here.desk.hive.position

        asyncio.run(story())

    def test_at_once(self, place: Path, migrated: Path) -> None:
        """Several who ask at the same moment get one segment each, in order, while messages are sent and read."""

        async def story() -> None:
            async with hall(place, migrated) as here:
                await send(here, 60)
                replies, _ = await asyncio.gather(
                    asyncio.gather(*(ask(here, 48) for _ in range(6))),
                    send(here, 100),
                )
                moved = sorted(reply["segment"]["first"] for reply in replies if reply["segment"] is not None)
                assert moved == [1, 13, 25, 37]
                assert here.desk.failures == []
                assert chain.verify(here.directories.hive_db).count == here.desk.hive.position

        asyncio.run(story())

    def test_refused(self, place: Path, migrated: Path) -> None:
        """What cannot be archived is told and loses nothing; the daemon goes on."""

        async def story() -> None:
            async with hall(place, migrated) as here:
                await send(here, 20)
                for until in (None, "all", -1, 2**64):
                    assert (await ask(here, until))["code"] == "invalid"  # type: ignore[arg-type] # on purpose
                (here.directories.data / "segments").write_text("in the way")
                reply = await ask(here, 20)
                assert (reply["ok"], reply["code"]) == (False, "unavailable")
                assert "nothing more was archived: " in reply["error"]
                (here.directories.data / "segments").unlink()
                await send(here, 1)
                assert (await ask(here, 20))["segment"]["last"] == FACTS

        asyncio.run(story())
