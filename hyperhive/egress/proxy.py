"""The proxy: who asks is whoever owns the socket; what it may reach is decided here, and names are resolved here.

An agent's network namespace has its own loopback and nothing else, so this is its only way out. A refusal is told to
the agent (403) and to ``blocked``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from hyperhive.egress.policy import Model, Target, allows, is_outside
from hyperhive.egress.requests import MAX_HEAD_BYTES, BadRequest, ProxyRequest, parse
from hyperhive.runtimes.confinement import Egress

log = structlog.get_logger("egress")

MAX_CONNECTIONS = 64
"""Of one agent, at once."""
HEAD_SECONDS = 10.0
RESOLVE_SECONDS = 10.0
CONNECT_SECONDS = 20.0
MAX_ADDRESSES = 4
"""Of one name that are tried."""
CHUNK_BYTES = 65_536
RESOLVERS = 16
"""Threads of its own: a name whose servers do not answer must not hold up the daemon's other work."""
LOOKUPS = 2
"""Of one agent, at once: nor should they hold up the other agents, whom it could keep from the model so."""

_REASONS = {400: "Bad Request", 403: "Forbidden", 502: "Bad Gateway", 503: "Service Unavailable"}


class _No(Exception):  # noqa: N818 - control flow with an answer in it
    """The answer to a request that is not carried out."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Proxy:
    """Serves every agent's egress socket."""

    def __init__(
        self,
        *,
        policy: Callable[[str], Egress],
        model: Callable[[], Model],
        blocked: Callable[[str, Target], None],
        resolve: Callable[[Target], list[str]] | None = None,
    ) -> None:
        self._policy = policy
        self._model = model
        self._blocked = blocked
        self._resolve = resolve or addresses
        self._servers: dict[str, asyncio.Server] = {}
        self._open: dict[str, set[asyncio.Task[None]]] = {}
        self._lookups: dict[str, asyncio.Semaphore] = {}
        self._resolvers = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="egress-resolve")

    async def open(self, name: str, path: Path) -> None:
        """Listen for an agent; a socket file that is there already is replaced, as one of an earlier daemon."""
        if name in self._servers:
            return
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - on a file system in memory
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(path))
            path.chmod(0o660)  # noqa: ASYNC240 - likewise
            listener.setblocking(False)
            self._servers[name] = await asyncio.start_unix_server(
                lambda reader, writer: self._admit(name, reader, writer), sock=listener, limit=MAX_HEAD_BYTES
            )
        except BaseException:
            listener.close()
            raise

    async def close(self, name: str) -> None:
        """Stop listening for an agent, and end its connections."""
        server = self._servers.pop(name, None)
        if server is None:
            return
        (listener,) = server.sockets
        path = Path(listener.getsockname())
        server.close()
        # Python before 3.13 leaves it there.
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - on a file system in memory
        tasks = list(self._open.pop(name, ()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close_all(self) -> None:
        """Stop for good."""
        for name in list(self._servers):
            await self.close(name)
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    def _admit(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections = self._open.setdefault(name, set())
        if len(connections) >= MAX_CONNECTIONS:
            writer.write(_answer(_No(503, f"{MAX_CONNECTIONS} connections are open; close some")))
            writer.close()
            return
        task = asyncio.ensure_future(self._serve(name, reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    async def _serve(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with _closing(writer), contextlib.suppress(OSError):
            try:
                request = await self._read(reader)
                onward = await self._reach(name, request.target)
            except _No as no:
                writer.write(_answer(no))
                await writer.drain()
                return
            except (asyncio.IncompleteReadError, TimeoutError):
                return
            with _closing(onward[1]):
                onward[1].write(request.head)
                if request.tunnel:
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _carry((reader, writer), onward)

    async def _read(self, reader: asyncio.StreamReader) -> ProxyRequest:
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                return parse(await reader.readuntil(b"\r\n\r\n"))
        except asyncio.LimitOverrunError:
            raise _No(400, f"the request's head is over {MAX_HEAD_BYTES} bytes") from None
        except BadRequest as bad:
            raise _No(400, str(bad)) from None

    async def _reach(self, name: str, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to where a request goes, if it may go there."""
        model = self._model()
        trusted = target in model.targets
        if not trusted and not allows(self._policy(name), target):
            raise self._refused(name, target, "it is not among the hosts that this agent may reach")
        found = await self._addresses(name, target)
        if not (trusted and model.named):
            found = [address for address in found if is_outside(address)]
            if not found:
                raise self._refused(name, target, "it is an address of this host, or of a private network")
        return await _connect(found[:MAX_ADDRESSES], target.port)

    def _refused(self, name: str, target: Target, why: str) -> _No:
        self._blocked(name, target)
        return _No(403, f"hyperhive lets nothing through to {target}: {why}. The manager can ask for it.")

    async def _addresses(self, name: str, target: Target) -> list[str]:
        loop = asyncio.get_running_loop()
        slots = self._lookups.setdefault(name, asyncio.Semaphore(LOOKUPS))

        def ended(lookup: asyncio.Future[list[str]]) -> None:
            slots.release()
            # Who asked may be gone.
            if not lookup.cancelled():
                lookup.exception()

        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                await slots.acquire()
                lookup = loop.run_in_executor(self._resolvers, self._resolve, target)
                lookup.add_done_callback(ended)
                # A thread cannot be called back, and its slot is taken for as long as it looks.
                return await asyncio.shield(lookup)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise _No(502, f"{target.host} is not found: {error or 'no answer in time'}") from None


def addresses(target: Target) -> list[str]:
    """Return a host's addresses, as this host knows them; raises `OSError`."""
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def _connect(found: list[str], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    problem: Exception = OSError("no address")
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            for address in found:
                try:
                    return await asyncio.open_connection(address, port)
                except OSError as error:
                    problem = error
    except TimeoutError:
        problem = OSError("no answer in time")
    raise _No(502, f"no connection to {found[0]} port {port}: {problem}")


async def _carry(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter], other: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Carry bytes both ways until both sides have ended theirs, or one broke."""
    ways = [asyncio.ensure_future(_copy(one[0], other[1])), asyncio.ensure_future(_copy(other[0], one[1]))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


@contextlib.contextmanager
def _closing(writer: asyncio.StreamWriter) -> Iterator[None]:
    try:
        yield
    finally:
        writer.close()


def _answer(no: _No) -> bytes:
    body = f"{no}\n".encode()
    head = f"HTTP/1.1 {no.status} {_REASONS[no.status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
