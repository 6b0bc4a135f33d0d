"""A program: two hundred live streams, ours or sse-starlette's; what it shall write comes on stdin.

    python -m bench.streams hyperhive|sse-starlette PLACE BURST

Prints its port. Then each ``1`` on stdin makes one event, ``B`` a burst, and ``?`` is answered with the open streams.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import uvicorn
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.stream import TOKEN
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.messages import SendMessage
from hyperhive.events.envelope import OPERATOR
from hyperhive.projections import database
from hyperhive.projections.history import History
from hyperhive.proposals.proposals import Proposals
from hyperhive.repositories.repositories import Repositories
from hyperhive.web import site as ours
from hyperhive.web.listener import HttpServer, bind

DATA = (
    '{"position":123456,"type":"MessageSent","stream":"inbox-operator","at":"2026-01-01T00:00:00.000000Z",'
    '"actor":"operator","touches":["swarm","messages","activity"],"agent":"operator"}'
)


def listen(write: Callable[[int], None], count: Callable[[], int], burst: int) -> None:
    """Do what stdin says, in a thread."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        while word := sys.stdin.buffer.read(1):
            if word == b"?":
                print(count(), flush=True)
            else:
                loop.call_soon_threadsafe(write, burst if word == b"B" else 1)

    threading.Thread(target=read, daemon=True).start()


async def hyperhive(place: Path, burst: int) -> None:
    """Serve a hive's site."""
    path = place / "hive.sqlite"
    database.upgrade(path)
    log, hive = database.open_hive(path)
    dispatcher = Dispatcher(
        log, hive, clock=lambda: time.time_ns() // 1_000, on_failure=lambda failure: sys.exit(str(failure))
    )
    listener = await bind("127.0.0.1", 0)
    port = listener.getsockname()[1]

    async def journal(*_given: object) -> str:
        return ""

    holds = ours.Site(
        dispatcher=dispatcher,
        history=History(path),
        proposals=Proposals(dispatcher, Repositories(place), History(path)),
        kept=dict,
        journal=journal,
        token=TOKEN,
        origins=frozenset({f"http://127.0.0.1:{port}"}),
    )
    app = ours.site(holds)
    await HttpServer(app, listener).open()
    feed = ours.feed_of(app)

    def write(events: int) -> None:
        for _ in range(events):
            dispatcher.dispatch(SendMessage(actor=OPERATOR, to="operator", body="x"))

    listen(write, lambda: len(feed.streams), burst)
    print(port, flush=True)
    await asyncio.Event().wait()


async def peer(burst: int) -> None:
    """Serve sse-starlette's streams."""
    queues: set[asyncio.Queue[str]] = set()

    async def events(_request: Request) -> Response:
        queue: asyncio.Queue[str] = asyncio.Queue()

        async def told() -> AsyncIterator[ServerSentEvent]:
            queues.add(queue)
            try:
                while True:
                    yield ServerSentEvent(await queue.get(), id="123456")
            finally:
                queues.discard(queue)

        return EventSourceResponse(told())

    def write(events: int) -> None:
        for _ in range(events):
            for queue in queues:
                queue.put_nowait(DATA)

    listener = await bind("127.0.0.1", 0)
    app = Starlette(routes=[Route("/events", events)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off"))
    listen(write, lambda: len(queues), burst)
    print(listener.getsockname()[1], flush=True)
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    name, directory, size = sys.argv[1:]
    asyncio.run(hyperhive(Path(directory), int(size)) if name == "hyperhive" else peer(int(size)))
