"""Listening on TCP: a port that comes free is taken, one that does not is told, and requests are answered."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hyperhive.web.listener import HttpServer, PortTaken, bind


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A socket that listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other


def port_of(listening: socket.socket) -> int:
    """Return its port."""
    return int(listening.getsockname()[1])


class TestBind:
    """Getting hold of an address."""

    def test_listens(self) -> None:
        """What is bound listens at once: nobody else can, and a client's connection waits rather than fails."""

        async def story() -> None:
            with await bind("127.0.0.1", 0) as found:
                assert found.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
                with socket.create_connection(("127.0.0.1", port_of(found)), timeout=5):
                    pass
                with pytest.raises(OSError, match="in use"), socket.create_server(("127.0.0.1", port_of(found))):
                    pass

        asyncio.run(story())

    def test_ipv6(self) -> None:
        """An address of the sixth version is as good."""

        async def story() -> str:
            with await bind("::1", 0) as found:
                return str(found.getsockname()[0])

        assert asyncio.run(story()) == "::1"

    def test_port_that_comes_free(self, taken: socket.socket) -> None:
        """A port in use is tried again, and taken as soon as whoever had it is gone."""
        port = port_of(taken)

        async def story() -> int:
            binding = asyncio.create_task(bind("127.0.0.1", port))
            await asyncio.sleep(0)  # the first try is over, and failed
            assert not binding.done()
            taken.close()
            with await binding as found:
                return port_of(found)

        begun = time.monotonic()
        assert asyncio.run(story()) == port
        assert time.monotonic() - begun >= 0.25

    def test_port_that_stays_taken(self, taken: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
        """Twelve tries, with waits that double from 250 ms to two seconds; then the error says what to do."""
        waits: list[float] = []

        async def wait(seconds: float) -> None:
            waits.append(seconds)

        monkeypatch.setattr(asyncio, "sleep", wait)
        told = f"^127.0.0.1:{port_of(taken)} is in use; .* choose another with --listen$"
        with pytest.raises(PortTaken, match=told):
            asyncio.run(bind("127.0.0.1", port_of(taken)))
        assert waits == [0.25, 0.5, 1.0, *[2.0] * 8]

    @pytest.mark.parametrize(
        ("host", "told"),
        [
            ("192.0.2.1", "Cannot assign requested address"),
            ("no-such-host.invalid", "Name or service not known|failure"),
        ],
    )
    def test_address_that_is_not_ours(self, host: str, told: str) -> None:
        """What will not change by waiting is told at once."""
        begun = time.monotonic()
        with pytest.raises(PortTaken, match=f"cannot listen on {host}:0: .*({told}).*; choose another with --listen"):
            asyncio.run(bind(host, 0))
        assert time.monotonic() - begun < 10


class TestServe:
    """The server on it."""

    def test_answers_and_ends(self) -> None:
        """It answers over TCP, and after closing nobody listens any more."""

        async def hello(_request: Request) -> Response:
            return PlainTextResponse("hello\n")

        async def story() -> tuple[bytes, int]:
            found = await bind("127.0.0.1", 0)
            port = port_of(found)
            server = HttpServer(Starlette(routes=[Route("/", hello)]), found)
            await server.open()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(), timeout=60)
            writer.close()
            await server.close()
            return answer, port

        answer, port = asyncio.run(story())
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\nhello\n")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)

    def test_cannot_begin(self, caplog: pytest.LogCaptureFixture) -> None:
        """A server that cannot begin says so to whoever opens it, rather than never answering."""
        caplog.set_level(logging.CRITICAL)

        async def story() -> None:
            found = await bind("127.0.0.1", 0)
            found.close()
            with pytest.raises(OSError, match=r"Bad file descriptor|closed"):
                await HttpServer(Starlette(), found).open()

        asyncio.run(story())
