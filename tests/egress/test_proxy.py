"""The proxy at an agent's socket, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hyperhive.egress import proxy as module
from hyperhive.egress.policy import Model, Target
from hyperhive.egress.proxy import Proxy
from hyperhive.egress.requests import BadRequest, parse
from hyperhive.runtimes.confinement import Egress, EgressPolicy

ALLOWED = Egress(policy=EgressPolicy.ALLOWLIST, hosts=("allowed.example", "slow.example"))


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a directory that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="hh-", dir="/tmp") as directory:
        yield Path(directory)


class Scene:
    """A proxy for one agent, a server that it might reach, and what was refused."""

    def __init__(self, place: Path) -> None:
        self.path = place / "egress.sock"
        self.blocked: list[tuple[str, Target]] = []
        self.egress = Egress()
        self.port = 0
        self.resolved: list[Target] = []
        self.addresses = ["127.0.0.1"]
        self.model = Model(targets=(), named=True)

    def resolve(self, target: Target) -> list[str]:
        """Stand for the host's resolver."""
        self.resolved.append(target)
        return self.addresses

    async def ask(self, request: str) -> bytes:
        """Send a request and read all that comes back."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        writer.write(request.encode())
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer


@asynccontextmanager
async def scene(place: Path) -> AsyncIterator[Scene]:
    """Open a proxy, and a server that says what it heard."""
    here = Scene(place)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + heard)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    here.port = server.sockets[0].getsockname()[1]
    here.model = Model(targets=(Target("127.0.0.1", here.port),), named=True)
    proxy = Proxy(
        policy=lambda _name: here.egress,
        model=lambda: here.model,
        blocked=lambda name, target: here.blocked.append((name, target)),
        resolve=here.resolve,
    )
    await proxy.open("coder", here.path)
    try:
        yield here
    finally:
        await proxy.close_all()
        server.close()


def play(place: Path, story: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    """Run a story in a scene."""

    async def run() -> None:
        async with scene(place) as here:
            await story(here)

    asyncio.run(run())


def test_the_model_is_reached(place: Path) -> None:
    """The operator's model server is reached, also on this host's loopback, by tunnel and by plain HTTP."""

    async def story(here: Scene) -> None:
        tunnel = await here.ask(f"CONNECT 127.0.0.1:{here.port} HTTP/1.1\r\n\r\nGET /tunnel HTTP/1.1\r\n\r\n")
        assert tunnel.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK")
        assert tunnel.endswith(b"GET /tunnel HTTP/1.1\r\n\r\n")
        plain = await here.ask(f"GET http://127.0.0.1:{here.port}/v1?x=1 HTTP/1.1\r\nHost: evil\r\nA: b\r\n\r\n")
        assert f"GET /v1?x=1 HTTP/1.1\r\nHost: 127.0.0.1:{here.port}\r\nConnection: close\r\nA: b\r\n".encode() in plain
        assert b"evil" not in plain
        assert here.blocked == []

    play(place, story)


@pytest.mark.parametrize("request_line", ["CONNECT {}:{} HTTP/1.1", "GET http://{}:{}/ HTTP/1.1"])
def test_what_is_not_allowed(place: Path, request_line: str) -> None:
    """Another host is refused with a reason, noted, and never even looked up."""

    async def story(here: Scene) -> None:
        answer = await here.ask(request_line.format("evil.example", 443) + "\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403 Forbidden")
        assert b"evil.example:443" in answer
        assert (here.blocked, here.resolved) == ([("coder", Target("evil.example", 443))], [])

    play(place, story)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_an_allowed_name_that_leads_inside(place: Path, address: str) -> None:
    """A name that is allowed, and resolves to this host or its networks, leads nowhere; and that is noted."""

    async def story(here: Scene) -> None:
        here.egress, here.addresses = ALLOWED, [address]
        answer = await here.ask("CONNECT allowed.example:443 HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403")
        assert here.blocked == [("coder", Target("allowed.example", 443))]

    play(place, story)


def test_even_with_the_hosts_policy(place: Path) -> None:
    """The proxy leads to nothing of this host, whatever the policy."""

    async def story(here: Scene) -> None:
        here.egress, here.model = Egress(policy=EgressPolicy.HOST), Model(targets=(), named=False)
        answer = await here.ask(f"CONNECT 127.0.0.1:{here.port} HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403")

    play(place, story)


def test_only_the_models_port(place: Path) -> None:
    """Another port of the model's host is another server: the dashboard, for one."""

    async def story(here: Scene) -> None:
        with socket.create_server(("127.0.0.1", 0)) as dashboard:
            answer = await here.ask(f"CONNECT 127.0.0.1:{dashboard.getsockname()[1]} HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403")

    play(place, story)


def test_nobody_there(place: Path) -> None:
    """An allowed host that does not answer, or is not found, is an answer and no refusal."""

    async def story(here: Scene) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            here.model = Model(targets=(Target("127.0.0.1", closed.getsockname()[1]),), named=True)
            answer = await here.ask(f"CONNECT {here.model.targets[0]} HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 502")
        assert here.blocked == []

    play(place, story)


@pytest.mark.parametrize(
    "request_text",
    [
        "GET / HTTP/1.1\r\n\r\n",
        "GET https://docs.example.org/ HTTP/1.1\r\n\r\n",
        "CONNECT docs.example.org HTTP/1.1\r\n\r\n",
        "CONNECT http://docs.example.org HTTP/1.1\r\n\r\n",
        "\r\n\r\n",
        "connect docs.example.org:443 HTTP/1.1\r\n\r\n",
        "CONNECT docs.example.org:443 HTTP/2\r\n\r\n",
        "GET http://[::1/ HTTP/1.1\r\n\r\n",
    ],
)
def test_no_request(place: Path, request_text: str) -> None:
    """What is no request to a proxy gets 400 and goes nowhere."""
    with pytest.raises(BadRequest):
        parse(request_text.encode())

    async def story(here: Scene) -> None:
        assert (await here.ask(request_text)).startswith(b"HTTP/1.1 400")

    play(place, story)


def test_endless_head(place: Path) -> None:
    """A head without an end is cut off at its limit."""

    async def story(here: Scene) -> None:
        reader, writer = await asyncio.open_unix_connection(str(here.path))
        writer.write(b"GET http://x/ HTTP/1.1\r\n" + b"a: " + b"x" * 70_000)
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 400")
        writer.close()

    play(place, story)


def test_too_many_connections(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One agent has so many connections and no more; when one ends, there is room again."""
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 3)

    async def story(here: Scene) -> None:
        held = [await asyncio.open_unix_connection(str(here.path)) for _ in range(3)]
        assert (await here.ask("")).startswith(b"HTTP/1.1 503")
        for reader, writer in held:
            writer.close()
            assert await asyncio.wait_for(reader.read(), 10) == b""
        async with asyncio.timeout(10):
            while here.blocked == []:
                with contextlib.suppress(ConnectionError):  # turned away with its request unread
                    await here.ask("CONNECT evil.example:443 HTTP/1.1\r\n\r\n")

    play(place, story)


def test_closed_with_the_agent(place: Path) -> None:
    """With its agent a way out is gone, and what passed through it ends."""

    async def story() -> None:
        async with scene(place) as here:
            reader, writer = await asyncio.open_unix_connection(str(here.path))
            writer.write(f"CONNECT 127.0.0.1:{here.port} HTTP/1.1\r\n\r\n".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()

    asyncio.run(story())
