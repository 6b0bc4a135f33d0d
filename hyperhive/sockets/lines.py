"""A JSON-lines server: every limit of the wire, one reply a line, and no client that can hold up another.

A request without an ``id`` is answered before the next one of its connection is looked at; where the protocol has ids,
requests with one are answered as they are ready. A client that does not read its replies is cut off rather than
remembered without end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import structlog

from harness import wire
from hyperhive.commands.errors import Refused
from hyperhive.events.log import LogFailed

log = structlog.get_logger("sockets")

Request = dict[str, Any]
Reply = dict[str, Any]
Handler = Callable[["Connection", Request], Awaitable[Reply | None]]
"""Answers one request; None where the handler has written its replies itself."""

MAX_OPEN_REQUESTS = 64
"""Requests with ids that one connection may have open, and requests without that it may have waiting."""
MAX_UNREAD_BYTES = 4 * wire.MAX_LINE_BYTES
"""Replies that a client has not read; past it the connection is cut."""


@attrs.frozen(kw_only=True)
class Protocol:
    """What differs between the sockets: how errors look, and what every reply carries."""

    error: Callable[[str, str], Reply]
    """From a code and a text."""
    ids: bool
    """Whether ``id`` marks a request that may be answered out of turn; its reply repeats it."""


class LineServer:
    """One listening unix socket."""

    def __init__(self, path: Path, handler: Handler, protocol: Protocol, *, mode: int, max_connections: int) -> None:
        self.path = path
        self.handler = handler
        self.protocol = protocol
        self.max_connections = max_connections
        self.connections: set[Connection] = set()
        self._mode = mode
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; a socket file that nobody listens on any more is replaced."""
        self.path.unlink(missing_ok=True)
        before = os.umask(0o777 & ~self._mode)
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: Connection(self), str(self.path), backlog=256)
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.abort()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: LineServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._scanned = 0
        self._waiting: deque[Request] = deque()
        self._serial: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a client in, or turn it away where there are too many."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - unix streams are
        self._transport = transport
        if len(self._server.connections) >= self._server.max_connections:
            limit = self._server.max_connections
            self.write(self._server.protocol.error("unavailable", f"{limit} connections are open here; close some"))
            transport.close()
            return
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it went makes no difference
        """Drop what the client still waited for."""
        self._server.connections.discard(self)
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Cut what came into lines."""
        self._buffer += data
        while (end := self._buffer.find(b"\n", self._scanned)) >= 0:
            line = bytes(self._buffer[: end + 1])
            del self._buffer[: end + 1]
            self._scanned = 0
            self._line(line)
        self._scanned = len(self._buffer)
        if self._scanned > wire.MAX_LINE_BYTES:
            # What follows could only be read by reading all of it: this connection ends.
            self._refuse(wire.WireError("too_large", f"a line of over {wire.MAX_LINE_BYTES} bytes"), None)
            self._close()

    def write(self, reply: Reply) -> None:
        """Write one line; cut off a client that does not read."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        try:
            line = wire.encode(reply)
        except wire.WireError as error:
            line = wire.encode({**self._server.protocol.error(error.code, str(error)), **self._id(reply)})
        transport.write(line)
        if transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            log.warning("client_cut_off", socket=self._server.path.name, unread=transport.get_write_buffer_size())
            transport.abort()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _line(self, line: bytes) -> None:
        """Take one line."""
        try:
            request = wire.decode(line)
        except wire.WireError as error:
            self._refuse(error, None)
            return
        out_of_turn = "id" in request and self._server.protocol.ids
        open_requests = len(self._tasks) if out_of_turn else len(self._waiting)
        if open_requests >= MAX_OPEN_REQUESTS:
            self._refuse(wire.WireError("unavailable", f"{MAX_OPEN_REQUESTS} requests are open; read replies"), request)
            return
        if out_of_turn:
            self._start(self._answer(request))
        else:
            self._waiting.append(request)
            if self._serial is None:
                self._serial = self._start(self._answer_in_turn())

    def _start(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _answer_in_turn(self) -> None:
        while self._waiting:
            await self._answer(self._waiting.popleft())
        self._serial = None

    async def _answer(self, request: Request) -> None:
        try:
            reply = await self._server.handler(self, request)
        except (Refused, wire.WireError) as error:
            self._refuse(error, request)
        except LogFailed as error:
            self._refuse(wire.WireError("unavailable", str(error)), request)
        except Exception:
            log.exception("request_broke", socket=self._server.path.name, cmd=str(request.get("cmd"))[:40])
            self._refuse(wire.WireError("unavailable", "the daemon met a defect of its own; see its log"), request)
        else:
            if reply is not None:
                self.write({**reply, **self._id(request)})

    def _refuse(self, error: Refused | wire.WireError, request: Request | None) -> None:
        self.write({**self._server.protocol.error(error.code, str(error)), **self._id(request or {})})

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _id(self, request: Request) -> Reply:
        return {"id": request["id"]} if self._server.protocol.ids and "id" in request else {}
