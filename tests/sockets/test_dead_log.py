"""A log that fails while requests are open: each of them is answered, before anything else follows from it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hyperhive.commands.dispatcher import BATCH_MAX
from hyperhive.commands.messages import SendMessage
from hyperhive.events.envelope import OPERATOR
from hyperhive.events.log import LogFailed
from tests.commands.desk import run
from tests.sockets.client import until
from tests.sockets.hall import Hall, hall

REFUSAL = "the log could not be made durable: attempt to write a readonly database"


async def no_mail(here: Hall, name: str) -> None:
    """Take and acknowledge the kick of an agent's start."""
    client = await here.agent(name)
    mail = (await client.ask({"cmd": "recv", "wait_seconds": 0}))["messages"]
    await client.ask({"cmd": "ack", "ids": [message["id"] for message in mail]})
    client.leave()


@pytest.mark.parametrize("before", [0, BATCH_MAX])
def test_every_open_request_is_answered(place: Path, migrated: Path, before: int) -> None:
    """Whatever was asked has its answer on the wire when the daemon hears of the failure, though it hangs up at once.

    A long poll, commands and a refusal in the batch that failed (or, after a flood, in the one that never came), and
    what waited for its turn on its connection.
    """

    async def story() -> None:
        async with hall(place, migrated) as here:
            await here.spawn("coder", "reviewer")
            await no_mail(here, "coder")
            desk, dispatcher = here.desk, here.desk.dispatcher
            poller, at_once, in_turn = [await here.agent(name) for name in ("coder", "reviewer", "coder")]
            await poller.send({"cmd": "recv", "wait_seconds": 30})
            await until(lambda: bool(dispatcher._parking))

            def hang_up(failure: Exception) -> None:
                desk.failures.append(failure)
                for server in here.homes._sockets.values():
                    for connection in tuple(server.connections):
                        connection.abort()

            dispatcher._on_failure = hang_up
            desk.log.connection.execute("PRAGMA query_only = ON")  # any error of SQLite's but a full disk
            dispatcher._scheduled = True  # no batch begins before all of it is there
            flood = [dispatcher.dispatch(SendMessage(actor=OPERATOR, to="coder", body="x")) for _ in range(before)]
            await at_once.send(*({"cmd": "send", "to": "coder", "body": "hi", "id": number} for number in range(30)))
            await at_once.send({"cmd": "send", "to": "nobody", "body": "hi", "id": 30})
            await in_turn.send(
                b'{"cmd":"send","to":"reviewer","body":"a"}\n'
                b'{"cmd":"report","event":{"kind":"status","status":"thinking"}}\n'
                b'{"cmd":"send","to":"nobody","body":"b"}\n'
            )
            await until(lambda: len(dispatcher._queue) == before + 32)
            dispatcher._flush(asyncio.get_running_loop())

            for client, count in ((poller, 1), (at_once, 31), (in_turn, 3)):
                replies = [await client.reply() for _ in range(count)]
                assert [(reply["code"], reply["error"]) for reply in replies] == [("unavailable", REFUSAL)] * count
                assert await client.rest() == b""
            assert [type(failure) for failure in desk.failures] == [LogFailed]
            assert [type(asked.exception()) for asked in flood] == [LogFailed] * before

    run(story())
