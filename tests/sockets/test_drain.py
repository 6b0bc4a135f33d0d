"""A server that ends: what it has taken is answered, nothing more is taken, and nobody holds it up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hyperhive.commands.messages import TakeMail
from hyperhive.events.envelope import Recorded, actor_of_agent
from hyperhive.projections.messages import MESSAGES
from tests.commands.desk import Desk, run
from tests.sockets.client import Client, until
from tests.sockets.echo import serving

LONG = 60.0
"""So long that a drain which needs it has failed."""


class TestDrain:
    """A line server."""

    def test_answers_what_it_has_taken(self, place: Path) -> None:
        """Requests in turn and out of turn that are open when the end begins are answered, then it hangs up."""

        async def story() -> None:
            async with serving(place / "s") as (server, echo):
                client = await Client.of(place / "s")
                await client.ask({"text": "before"})
                await client.send({"cmd": "wait", "id": 1, "text": "a"}, {"cmd": "wait", "text": "b"}, {"text": "c"})
                await until(lambda: echo.waiting == 2)
                draining = asyncio.create_task(server.drain(LONG))
                await asyncio.sleep(0)
                echo.released.set()
                replies = [await client.reply() for _ in range(3)]
                assert {reply["echo"] for reply in replies} == {"a", "b", "c"}
                assert await client.rest() == b""
                await asyncio.wait_for(draining, 10)

        run(story())

    def test_takes_nothing_more(self, place: Path) -> None:
        """Once the end has begun no line is taken, and nobody new is let in."""

        async def story() -> None:
            async with serving(place / "s") as (server, echo):
                client = await Client.of(place / "s")
                await client.send({"cmd": "wait"})
                await until(lambda: echo.waiting == 1)
                draining = asyncio.create_task(server.drain(LONG))
                await asyncio.sleep(0)
                await client.send({"text": "late"})
                with pytest.raises((ConnectionRefusedError, ConnectionResetError, FileNotFoundError)):
                    await Client.of(place / "s")
                echo.released.set()
                assert (await client.reply())["ok"] is True
                await client.cut_off()
                await draining
                assert [request.get("text") for request in echo.seen] == [None]

        run(story())

    def test_time_is_over(self, place: Path) -> None:
        """A request that never ends holds nobody up longer than the time given; closing then ends it."""

        async def story() -> None:
            async with serving(place / "s") as (server, echo):
                client = await Client.of(place / "s")
                await client.send({"cmd": "wait"})
                await until(lambda: echo.waiting == 1)
                await asyncio.wait_for(server.drain(0.05), 10)
                await asyncio.wait_for(server.close(), 10)
                assert echo.ended == 1
                assert await client.rest() == b""

        run(story())

    def test_who_does_not_read(self, place: Path) -> None:
        """A client that leaves its answers unread holds nobody up, either."""

        async def story() -> None:
            async with serving(place / "s") as (server, _echo):
                client = await Client.of(place / "s")
                client.stop_reading()
                await client.send(*[{"cmd": "long", "size": 900_000}] * 3)
                await until(lambda: server.unread > 0)
                await asyncio.wait_for(server.drain(0.05), 10)
                await asyncio.wait_for(server.close(), 10)
                assert server.connections == set()

        run(story())

    def test_idle_clients(self, place: Path) -> None:
        """Who has asked nothing is hung up on at once, also in the middle of a line."""

        async def story() -> None:
            async with serving(place / "s") as (server, echo):
                clients = [await Client.of(place / "s") for _ in range(3)]
                await clients[1].send(b'{"cmd":')
                await until(lambda: len(server.connections) == 3 and server.partial)
                await asyncio.wait_for(server.drain(LONG), 10)
                assert [await client.rest() for client in clients] == [b""] * 3
                assert echo.seen == []

        run(story())

    def test_never_opened(self, place: Path) -> None:
        """A server that was not opened has nothing to drain."""

        async def story() -> None:
            async with serving(place / "s") as (server, _echo):
                await server.drain(LONG)
                await server.drain(LONG)

        run(story())


class TestRelease:
    """The dispatcher's waits."""

    def test_wait_ends(self, hive_db: Path) -> None:
        """Who waits gets nothing, at once; who waits later, too; what is there is still handed over."""

        async def story() -> None:
            desk = Desk(hive_db)
            await desk.spawn("coder", "tester")
            take = TakeMail(actor=actor_of_agent("coder"), to="coder", holding=frozenset({2}))
            topics = ((MESSAGES.name, "coder"),)
            heard: list[list[Recorded]] = []
            desk.dispatcher.listen(heard.append)
            waiting = asyncio.create_task(desk.dispatcher.wait(take, topics=topics, seconds=LONG))
            while not desk.dispatcher._parking._by_topic:  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0)
            desk.dispatcher.release()
            assert await asyncio.wait_for(waiting, 5) == ()
            assert heard == [[]], "listeners hear that waits are released"
            assert await asyncio.wait_for(desk.dispatcher.wait(take, topics=topics, seconds=LONG), 5) == ()
            assert desk.dispatcher._parking._by_topic == {}
            mine = TakeMail(actor=actor_of_agent("tester"), to="tester")
            (handed,) = await desk.dispatcher.wait(mine, topics=((MESSAGES.name, "tester"),), seconds=LONG)
            assert handed.type == "MessagesHandedOver"

        run(story())
