"""Connections over real sockets: what anybody without a key can do to the daemon, which is little."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hyperhive.events.envelope import OPERATOR
from hyperhive.web import connections
from hyperhive.web.access import Person, Who
from hyperhive.web.connections import Connections
from hyperhive.web.guard import Guarded, Way
from hyperhive.web.listener import HttpServer, bind

Story = Callable[[int, Connections], Awaitable[None]]
KEYED = b"GET /mine HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n\r\n"
PUBLIC = b"GET /all HTTP/1.1\r\nHost: x\r\n\r\n"


async def answer(request: Request) -> Response:
    """Read all of a request, and say how long it was."""
    return PlainTextResponse(str(len(await request.body())))


def served(story: Story, *, limit: int = connections.LIMIT) -> None:
    """Serve a way for people with a key and one for all, for the length of a story."""

    async def run() -> None:
        def recognise(key: str) -> Person | None:
            return Person(OPERATOR) if key == "key" else None

        ways = [Way(path="/mine", who=Who.VIEWER, answer=answer, method=method) for method in ("GET", "POST")]
        ways += [Way(path="/all", who=Who.PUBLIC, answer=answer)]
        app = Starlette(routes=[Route(way.path, Guarded(way, recognise), methods=[way.method]) for way in ways])
        listener = await bind("127.0.0.1", 0)
        counted = Connections(limit)
        server = HttpServer(app, listener, connections=counted)
        await server.open()
        try:
            await asyncio.wait_for(story(listener.getsockname()[1], counted), timeout=30)
        finally:
            await server.close()

    asyncio.run(run())


Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def line(port: int, request: bytes = b"") -> Line:
    """Connect, and ask for something."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    return reader, writer


async def answered(opened: Line, status: bytes = b"200") -> None:
    """Expect an answer."""
    head = await opened[0].readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status), head
    await opened[0].readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))


async def closed(opened: Line) -> bytes:
    """Wait for the other side's end."""
    with contextlib.suppress(ConnectionError):
        return await opened[0].read()
    return b""


async def counted_down(counted: Connections, count: int) -> None:
    """Wait until no more are open."""
    while len(counted) > count:  # noqa: ASYNC110 - nobody else wants to know when a connection goes
        await asyncio.sleep(0)


def test_strangers_make_room() -> None:
    """The oldest of those without a key goes; whoever has carried one stays, however many strangers come."""

    async def story(port: int, counted: Connections) -> None:
        known = await line(port, KEYED)
        await answered(known)
        strangers = [await line(port) for _ in range(12)]
        for first in strangers[:8]:
            assert await closed(first) in {b"", connections._FULL}
        assert len(counted) == 5
        last = strangers[-1]
        last[1].write(KEYED)
        await answered(last)
        known[1].write(KEYED)
        await answered(known)

    served(story, limit=5)


def test_a_wrong_key_is_a_stranger() -> None:
    """A key that is none vouches for nobody; a public way neither."""

    async def story(port: int, _counted: Connections) -> None:
        tried = await line(port, KEYED.replace(b"Bearer key", b"Bearer no"))
        await answered(tried, b"401")
        public = await line(port, PUBLIC)
        await answered(public)
        newest = await line(port, KEYED)
        await answered(newest)
        await line(port)
        await line(port)
        await closed(tried)
        await closed(public)

    served(story, limit=3)


def test_full_of_people() -> None:
    """Where all room is taken by people with keys, a further connection is told so, and they go on."""

    async def story(port: int, counted: Connections) -> None:
        people = [await line(port, KEYED) for _ in range(3)]
        for each in people:
            await answered(each)
        assert (await closed(await line(port, b""))).startswith(b"HTTP/1.1 503")
        people[0][1].close()
        await counted_down(counted, 2)
        again = await line(port, KEYED)
        await answered(again)

    served(story, limit=3)


def test_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing, or half a request, or only asks for what all may have, is let go after a while."""
    monkeypatch.setattr(connections, "STRANGER_SECONDS", 0.2)

    async def story(port: int, _counted: Connections) -> None:
        known = await line(port, KEYED)
        await answered(known)
        silent, half, public = await line(port), await line(port, b"GET /all HT"), await line(port, PUBLIC)
        await answered(public)
        for each in (silent, half, public):
            assert await closed(each) == b""
        known[1].write(KEYED)
        await answered(known)

    served(story)


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"", b"GET /" + b"x" * 10_000),
        (b"GET /all HTTP/1.1\r\n", b"X-Y: " + b"z" * 1_000 + b"\r\n"),
        (b"GET /all HTTP/1.1\r\nX-Y: ", b"z" * 10_000),
        (b"POST /mine HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"z" * 10_000),
        (b"POST /mine HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;x=", b"z" * 10_000),
    ],
    ids=["path", "many headers", "one header", "trailer", "extension of a chunk"],
)
def test_without_end(begin: bytes, more: bytes) -> None:
    """A head, a trailer, an extension without end is cut off; nothing of it is remembered meanwhile beyond a limit."""

    async def story(port: int, counted: Connections) -> None:
        _reader, writer = await line(port, begin)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 50_000_000:
                writer.write(more)
                await writer.drain()
                sent += len(more)
        assert sent < 50_000_000
        await counted_down(counted, 0)

    served(story)


def test_large_bodies() -> None:
    """A body is no head: one of a megabyte is taken from whoever may send it."""

    async def story(port: int, _counted: Connections) -> None:
        body = b"x" * 1_000_000
        head = KEYED.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(2):
            sending = await line(port, head + body)
            await answered(sending)

    served(story)


def test_upgrades_and_rubbish(capfd: pytest.CaptureFixture[str]) -> None:
    """What is no request gets its 400, what asks for another protocol its answer, and neither writes a line."""

    async def story(port: int, _counted: Connections) -> None:
        rubbish = await line(port, b"\x16\x03\x01\x02\x00hello\r\n\r\n")
        assert (await closed(rubbish)).startswith(b"HTTP/1.1 400")
        upgrade = b"GET /all HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        await answered(await line(port, upgrade))

    served(story)
    assert capfd.readouterr().err == ""


def test_beside() -> None:
    """An application beside ends alone: its port is free again and its connections are cut; the first goes on."""

    async def run() -> None:
        async def other(_request: Request) -> Response:
            return PlainTextResponse("other")

        listener, second = await bind("127.0.0.1", 0), await bind("127.0.0.1", 0)
        server = HttpServer(Starlette(routes=[Route("/all", answer)]), listener)
        await server.open()
        port = second.getsockname()[1]
        end = await server.serve_beside(Starlette(routes=[Route("/all", other)]), second)
        opened = await line(port, PUBLIC)
        await answered(opened)
        end()
        assert await closed(opened) == b""
        with socket.create_server(("127.0.0.1", port)):
            pass
        await answered(await line(listener.getsockname()[1], PUBLIC))
        await server.close()

    asyncio.run(asyncio.wait_for(run(), timeout=30))
