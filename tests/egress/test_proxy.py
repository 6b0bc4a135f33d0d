"""The proxy at an agent's socket, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import threading
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
        self.path = place / "coder.sock"
        self.blocked: list[tuple[str, Target]] = []
        self.egress = Egress()
        self.port = 0
        self.resolved: list[Target] = []
        self.addresses = ["127.0.0.1"]
        self.holding = threading.Event()
        """While a test has cleared it no slow name is found."""
        self.holding.set()
        self.model = Model(targets=(), named=True)

    def resolve(self, target: Target) -> list[str]:
        """Stand for the host's resolver."""
        self.resolved.append(target)
        if target.host.endswith("slow.example"):
            self.holding.wait(60)
        return self.addresses

    async def ask(self, request: str, agent: str = "coder") -> bytes:
        """Send a request and read all that comes back."""
        reader, writer = await asyncio.open_unix_connection(str(self.path.with_name(f"{agent}.sock")))
        writer.write(request.encode())
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 60)
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
    for agent in ("coder", "reviewer"):
        await proxy.open(agent, place / f"{agent}.sock")
    try:
        yield here
    finally:
        here.holding.set()
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
        "GET  http://allowed.example/ HTTP/1.1\r\n\r\n",
        "GET http://allowed.example@evil.example/ HTTP/1.1\r\n\r\n",
        "GET http://evil.example\\@allowed.example/ HTTP/1.1\r\n\r\n",
        "GET //allowed.example/ HTTP/1.1\r\n\r\n",
        "GET ftp://allowed.example/ HTTP/1.1\r\n\r\n",
        "GET http://allowed.example/\tx HTTP/1.1\r\n\r\n",
        "GET http://allowed.example/\nHost:evil HTTP/1.1\r\n\r\n",
        "GET http://allowed.example/\0 HTTP/1.1\r\n\r\n",
        "GET http://allowed.\tevil.example/ HTTP/1.1\r\n\r\n",
        "GET http://allowed.example/\u00e4 HTTP/1.1\r\n\r\n",
        "GET http://allowed.example/ HTTP/1.1\r\nHost : evil.example\r\n\r\n",
        "GET http://allowed.example/ HTTP/1.1\r\n Host: evil.example\r\n\r\n",
        "GET http://allowed.example/ HTTP/1.1\r\nA: b\nHost: evil.example\r\n\r\n",
        "GET http://allowed.example/ HTTP/1.1\r\nA: b\rHost: evil.example\r\n\r\n",
        "GET http://allowed.example/ HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        "GET http://allowed.example/ HTTP/1.1\r\nA: b\0\r\n\r\n",
        "GET http://allowed.example/ HTTP/1.1\r\nno colon\r\n\r\n",
        "CONNECT allowed.example:443\0.evil.example:443 HTTP/1.1\r\n\r\n",
        "CONNECT allowed.example:443@evil.example:443 HTTP/1.1\r\n\r\n",
        "CONNECT allowed.example:443 evil.example:443 HTTP/1.1\r\n\r\n",
        "CONNECT /run/host.sock HTTP/1.1\r\n\r\n",
        f"CONNECT {'a' * 300}.example:443 HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\r\n\r\n",
    ],
    ids=lambda text: ascii(text)[:60],
)
def test_no_request(place: Path, request_text: str) -> None:
    """What is no request to a proxy gets 400 and goes nowhere."""
    with pytest.raises(BadRequest):
        parse(request_text.partition("\r\n\r\n")[0].encode() + b"\r\n\r\n")

    async def story(here: Scene) -> None:
        here.egress = ALLOWED
        assert (await here.ask(request_text)).startswith(b"HTTP/1.1 400")
        assert (here.blocked, here.resolved) == ([], [])

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


def test_nothing_that_follows_leads_elsewhere(place: Path) -> None:
    """What comes after a request, in the same breath, goes to the server that was allowed, and is never read here."""

    async def story(here: Scene) -> None:
        for first in ("CONNECT 127.0.0.1:{} HTTP/1.1", "GET http://127.0.0.1:{}/ HTTP/1.1\r\nContent-Length: 0"):
            smuggled = "CONNECT evil.example:443 HTTP/1.1\r\n\r\nGET http://evil.example/ HTTP/1.1\r\n\r\n"
            answer = await here.ask(first.format(here.port) + "\r\n\r\n" + smuggled)
            assert answer.count(b"HTTP/1.1 200") == (2 if first.startswith("CONNECT") else 1)
            assert b"403" not in answer
        assert (here.blocked, [target.host for target in here.resolved]) == ([], ["127.0.0.1", "127.0.0.1"])

    play(place, story)


def test_a_name_that_changes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is looked up once, and connected to are the addresses that were looked at, the bad ones left out."""
    connected: list[Any] = []

    async def refuses(host: str, port: int, **_: Any) -> None:
        connected.append((host, port))
        raise OSError("refused")

    async def story(here: Scene) -> None:
        here.egress = ALLOWED
        here.addresses = ["127.0.0.1", "1.1.1.1", "169.254.169.254", "::1", "2606:4700::1111", "::ffff:10.0.0.1"]
        monkeypatch.setattr(asyncio, "open_connection", refuses)
        answer = await here.ask("CONNECT allowed.example:443 HTTP/1.1\r\n\r\n")
        monkeypatch.undo()
        assert answer.startswith(b"HTTP/1.1 502")
        assert connected == [("1.1.1.1", 443), ("2606:4700::1111", 443)]
        assert len(here.resolved) == 1
        # The next request is looked up anew, and judged by what is found then.
        here.addresses = ["127.0.0.1"]
        assert (await here.ask("CONNECT allowed.example:443 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403")

    play(place, story)


def test_slow_names(place: Path) -> None:
    """An agent whose names are never found waits for them alone: the others' are looked up meanwhile."""

    async def story(here: Scene) -> None:
        here.egress = ALLOWED
        here.holding.clear()
        request = "CONNECT slow.example:443 HTTP/1.1\r\n\r\n"
        asked = [asyncio.ensure_future(here.ask(request)) for _ in range(module.RESOLVERS + 2)]
        async with asyncio.timeout(60):
            while len(here.resolved) < module.LOOKUPS:  # noqa: ASYNC110 - threads note it
                await asyncio.sleep(0.01)
            other = await here.ask(f"CONNECT 127.0.0.1:{here.port} HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", "reviewer")
        assert other.startswith(b"HTTP/1.1 200")
        assert [target.host for target in here.resolved].count("slow.example") == module.LOOKUPS
        here.holding.set()
        assert {answer[:12] for answer in await asyncio.gather(*asked)} <= {b"HTTP/1.1 403", b"HTTP/1.1 502"}

    play(place, story)


def test_slow_heads(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who begins requests and never ends them loses them after a while, and keeps nobody else from the model."""
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.2)

    async def story(here: Scene) -> None:
        held = [await asyncio.open_unix_connection(str(here.path)) for _ in range(module.MAX_CONNECTIONS)]
        for _, writer in held:
            writer.write(b"CONNECT allowed.example:443 HTTP/1.1\r\nA: ")
        request = f"CONNECT 127.0.0.1:{here.port} HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"
        assert (await here.ask(request, "reviewer")).startswith(b"HTTP/1.1 200")
        for reader, writer in held:
            assert await asyncio.wait_for(reader.read(), 60) == b""
            writer.close()
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(ConnectionError):  # turned away with its request unread
                    if (await here.ask(request)).startswith(b"HTTP/1.1 200"):
                        break

    play(place, story)


def test_many_headers(place: Path) -> None:
    """A flood of headers is cut off at the limit of a head; what is below it passes whole."""

    async def story(here: Scene) -> None:
        lines = "".join(f"A{number}: {number}\r\n" for number in range(1_000))
        request = f"GET http://127.0.0.1:{here.port}/ HTTP/1.1\r\n{lines}"
        assert b"A999: 999\r\n" in await here.ask(f"{request}\r\n")
        flood = request + "".join(f"B{number}: {number}\r\n" for number in range(5_000))
        with contextlib.suppress(ConnectionError):  # answered before all of it was read
            assert (await here.ask(flood)).startswith(b"HTTP/1.1 400")
        assert b"A999" in await here.ask(f"{request}\r\n")

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
