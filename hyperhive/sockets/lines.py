"""A JSON-lines server: every limit of the wire, one reply a line, and no client that can hold up another.

A request without an ``id`` is answered before the next one of its connection is looked at; where the protocol has ids,
requests with one are answered as they are ready. A client that does not read its replies is cut off rather than
remembered without end, and one that sends without end gets its turn like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import msgspec
import structlog

from harness import wire
from hyperhive.commands.asks import Hearer
from hyperhive.commands.errors import Invalid, Refused, Unavailable
from hyperhive.events.log import LogFailed
from hyperhive.sockets.hangup import Hangup
from hyperhive.sockets.requests import MAX_ID_CHARACTERS

log = structlog.get_logger("sockets")

Request = dict[str, Any]
Reply = dict[str, Any]


@attrs.frozen
class Later:
    """A reply that is made of what a hearer hears, and written in the same moment."""

    ask: Callable[[Hearer], Callable[[], None]]
    """Begins; returns what withdraws it."""
    reply: Callable[[Any], Reply]


Answering = Reply | Later | Awaitable[Reply | None]
Handler = Callable[["Connection", Request], Answering]
"""Answers one request; with None where it has written its replies itself."""

MAX_OPEN_REQUESTS = 64
"""Requests with ids that one connection may have open, and requests without that it may have waiting."""
MAX_HELD_BYTES = 4 * wire.MAX_LINE_BYTES
"""Requests without an answer that the clients of one socket may have, and as much in lines that have not ended."""
MAX_UNREAD_BYTES = 4 * wire.MAX_LINE_BYTES
"""Replies that a client has not read; past it, or past four times as much on its socket, it is cut off."""
WORK_AT_ONCE = 65_536
"""Bytes of lines that are looked at on one socket before others have their turn; a line counts as `LINE_WORK` more."""
LINE_WORK = 1_024
MAX_ERROR_CHARACTERS = 1_000
"""Of an error's text, which may repeat what the client sent."""


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
        self._work_left = WORK_AT_ONCE
        self._queue: deque[Connection] = deque()
        """Connections with lines that wait for the next turn."""

    async def open(self) -> None:
        """Listen; a socket file that is there already is replaced: whoever opens is alone in the run directory."""
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self.path))
            # Nobody can connect before it listens, so the mode comes in time; a umask would be everybody's.
            self.path.chmod(self._mode)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: Connection(self), sock=listener, backlog=256)
        except BaseException:
            listener.close()
            raise

    async def drain(self, seconds: float) -> None:
        """Take no further client and no further line; return once every open request is answered, or time is over.

        What has no end of its own has to end at `Connection.ending`.
        """
        if self._server is not None:
            self._server.close()
        draining = [asyncio.ensure_future(connection.drain()) for connection in self.connections]
        if draining:
            _done, late = await asyncio.wait(draining, timeout=seconds)
            for task in late:
                task.cancel()

    async def close(self) -> None:
        """Stop listening, end every connection, and return once nothing works for any of them."""
        if self._server is None:
            return
        self._server.close()
        connections = list(self.connections)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.ended()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def has_turn(self, connection: Connection, size: int) -> bool:
        """Whether a line may be looked at now; if not, its connection is told to go on when it may."""
        if self._work_left <= 0:
            self._queue.append(connection)
            return False
        if self._work_left == WORK_AT_ONCE:
            asyncio.get_running_loop().call_soon(self._next_turn)
        self._work_left -= LINE_WORK + size
        return True

    def _next_turn(self) -> None:
        self._work_left = WORK_AT_ONCE
        for _ in range(len(self._queue)):
            if self._work_left <= 0:
                return
            self._queue.popleft().go_on()

    @property
    def is_closed(self) -> bool:
        """Whether it has stopped listening."""
        return self._server is not None and not self._server.is_serving()

    @property
    def partial(self) -> int:
        """Bytes of lines that have not ended."""
        return sum(connection.partial for connection in self.connections)

    @property
    def held(self) -> int:
        """Bytes of requests without an answer."""
        return sum(connection.held for connection in self.connections)

    @property
    def unread(self) -> int:
        """Bytes of replies that the clients have not read."""
        return sum(connection.unread for connection in self.connections)


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: LineServer) -> None:
        self.ending = asyncio.Event()
        """Set once the client is gone, or the server ends."""
        self.closed = asyncio.Event()
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._scanned = 0
        self._skipping = False
        """Whether the line that comes in has been refused already."""
        self.held = 0
        """Bytes of requests without an answer."""
        self._open: set[_Work] = set()
        """The requests that somebody works on."""
        self._waiting: deque[tuple[Request, int]] = deque()
        self._in_turn: _Work | None = None
        """The one of them that those in `_waiting` wait for."""
        self._going_on = False
        self._hangup: Hangup | None = None
        self._emptied = asyncio.Event()
        """Set whenever the last open request is answered; who waits for that clears it."""
        self._draining = False

    @property
    def partial(self) -> int:
        """Bytes of the line that has not ended."""
        return len(self._buffer)

    @property
    def unread(self) -> int:
        """Bytes of replies that the client has not read."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a client in, or turn it away where there are too many."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - unix streams are
        self._transport = transport
        if self._server.is_closed:
            transport.abort()  # it was accepted before, and announced after
            return
        if len(self._server.connections) >= self._server.max_connections:
            self._refuse(Unavailable(f"{self._server.max_connections} connections are open here; close some"), {})
            transport.close()
            return
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it went makes no difference
        """Drop what the client still waited for."""
        self._server.connections.discard(self)
        self._waiting.clear()
        if self._hangup is not None:
            self._hangup.close()
        for work in tuple(self._open):
            work.abandon()
        self.ending.set()
        self.closed.set()

    async def drain(self) -> None:
        """Take nothing more, answer what was taken, and hang up once that is sent."""
        assert self._transport is not None  # noqa: S101 - it is connected
        self._draining = True
        self._transport.pause_reading()
        self.ending.set()
        self._emptied.clear()
        if self._open:
            await self._emptied.wait()
        self._transport.close()
        await self.closed.wait()

    async def ended(self) -> None:
        """Return once the client is gone and nothing works for it any more."""
        await self.closed.wait()
        await asyncio.gather(*(work.task for work in self._open if work.task is not None), return_exceptions=True)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._buffer += data
        self._take_lines()

    def eof_received(self) -> bool:
        """Answer what a client that only ended its own side waits for still; drop it where the client is gone."""
        assert self._transport is not None  # noqa: S101 - it is connected
        hangup = Hangup(self._transport.get_extra_info("socket").fileno(), self.abort)
        if hangup.has_come():
            hangup.close()
            return False
        self._hangup = hangup
        if self._buffer and not self._skipping:
            self._line(bytes(self._buffer))
        self._buffer.clear()
        return bool(self._open)

    def write(self, reply: Reply) -> None:
        """Write one line; cut off a client that does not read. Raises `wire.WireError` for one that is too large."""
        line = _encoded(reply)
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(line)
        unread = self.unread
        if unread > MAX_UNREAD_BYTES or (unread and self._server.unread > 4 * MAX_UNREAD_BYTES):
            log.warning("client_cut_off", socket=str(self._server.path), unread=unread)
            transport.abort()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _take_lines(self) -> None:
        """Cut what came into lines, as many as it has the turn for."""
        assert self._transport is not None  # noqa: S101 - it is connected
        while (end := self._buffer.find(b"\n", self._scanned)) >= 0:
            if not self._server.has_turn(self, end):
                self._transport.pause_reading()
                return
            line = bytes(self._buffer[: end + 1])
            del self._buffer[: end + 1]
            self._scanned = 0
            if not self._skipping:
                self._line(line)
            self._skipping = False
        if not self._skipping and len(self._buffer) > wire.MAX_LINE_BYTES:
            self._skip(wire.WireError("too_large", f"a line of over {wire.MAX_LINE_BYTES} bytes"))
        elif not self._skipping and self._buffer and self._server.partial > MAX_HELD_BYTES:
            self._skip(_too_much_held())
        if self._skipping:
            self._buffer.clear()
        self._scanned = len(self._buffer)

    def go_on(self) -> None:
        """Take the lines that had to wait."""
        if self._transport is not None and not self._transport.is_closing() and not self._draining:
            self._transport.resume_reading()
            self._take_lines()

    def _skip(self, error: Refused | wire.WireError) -> None:
        """Refuse the line that comes in, once; the whole of it will be dropped."""
        self._skipping = True
        self._refuse(error, {})

    def _line(self, line: bytes) -> None:
        """Take one line."""
        request: Request = {}
        try:
            request = self._read(line)
            self._admit(request, len(line))
        except (Refused, wire.WireError) as error:
            self._refuse(error, request)

    def _read(self, line: bytes) -> Request:
        request = wire.decode(line)
        if self._server.protocol.ids and "id" in request:
            id_ = request["id"]
            if type(id_) not in (int, str) or len(str(id_)) > MAX_ID_CHARACTERS:
                raise Invalid(f"an id is a whole number or a text, of at most {MAX_ID_CHARACTERS} characters")
        return request

    def _admit(self, request: Request, size: int) -> None:
        """Begin to answer a request, or let it wait for its turn."""
        out_of_turn = self._server.protocol.ids and "id" in request
        if (len(self._open) if out_of_turn else len(self._waiting)) >= MAX_OPEN_REQUESTS:
            raise Unavailable(f"{MAX_OPEN_REQUESTS} requests are open; read replies")
        if self._server.held + size > MAX_HELD_BYTES:
            raise _too_much_held()
        self.held += size
        if out_of_turn:
            self._begin(_Work(self, request, size))
        else:
            self._waiting.append((request, size))
            self._go_on_in_turn()

    def _go_on_in_turn(self) -> None:
        """Begin to answer the next of those that wait, and the ones after it as far as they are answered at once."""
        if self._going_on:  # one that was answered at once, in the loop below
            return
        self._going_on = True
        while self._waiting and self._in_turn is None:
            self._in_turn = _Work(self, *self._waiting.popleft())
            self._begin(self._in_turn)
        self._going_on = False

    def _begin(self, work: _Work) -> None:
        self._open.add(work)
        work.begin(self._server.handler)

    def finished(self, work: _Work) -> None:
        """Go on with what waits, and hang up where nothing does and the client has ended its own side."""
        self._open.discard(work)
        self.held -= work.size
        if work is self._in_turn:
            self._in_turn = None
            self._go_on_in_turn()
        if not self._open and not self._waiting:
            self._emptied.set()
            if self._hangup is not None and self._transport is not None:
                self._transport.close()

    def reply(self, request: Request, reply: Reply) -> None:
        """Answer a request."""
        try:
            self.write({**reply, **self._id(request)})
        except wire.WireError as error:
            self._refuse(error, request)

    def fail(self, request: Request, error: BaseException) -> None:
        """Answer a request that could not be answered."""
        match error:
            case Refused() | wire.WireError():
                self._refuse(error, request)
            case LogFailed():
                self._refuse(Unavailable(str(error)), request)
            case _:
                cmd = str(request.get("cmd"))[:40]
                log.error("request_broke", socket=str(self._server.path), cmd=cmd, exc_info=error)
                self._refuse(Unavailable("the daemon met a defect of its own; see its log"), request)

    def _refuse(self, error: Refused | wire.WireError, request: Request) -> None:
        text = str(error)
        if len(text) > MAX_ERROR_CHARACTERS:
            text = f"{text[: MAX_ERROR_CHARACTERS - 1]}…"
        self.write({**self._server.protocol.error(error.code, text), **self._id(request)})

    def _id(self, request: Request) -> Reply:
        return {"id": request["id"]} if self._server.protocol.ids and "id" in request else {}


def _too_much_held() -> Unavailable:
    return Unavailable(f"over {MAX_HELD_BYTES} bytes of requests are open on this socket; read replies")


class _Work:
    """One request under way: what its reply is made of is heard by a call, or a task works it out."""

    __slots__ = ("_connection", "_over", "_reply", "_request", "_withdraw", "size", "task")

    def __init__(self, connection: Connection, request: Request, size: int) -> None:
        self.size = size
        self.task: asyncio.Task[Reply | None] | None = None
        self._connection = connection
        self._request = request
        self._reply: Callable[[Any], Reply | None] = _as_it_is
        self._withdraw: Callable[[], None] | None = None
        self._over = False

    def begin(self, handler: Handler) -> None:
        """Ask the handler."""
        try:
            found = handler(self._connection, self._request)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            self.set_exception(error)
            return
        if isinstance(found, Later):
            self._reply = found.reply
            self._withdraw = found.ask(self)
        elif isinstance(found, dict):
            self.set_result(found)
        else:
            self.task = asyncio.ensure_future(found)
            self.task.add_done_callback(self._worked_out)

    def done(self) -> bool:
        """Whether it is answered, or there is nobody to answer."""
        return self._over

    def set_result(self, found: Any, /) -> None:
        """Write the reply."""
        self._over, self._withdraw = True, None
        try:
            reply = self._reply(found)
            if reply is not None:
                self._connection.reply(self._request, reply)
        except Exception as error:  # noqa: BLE001 - as in `begin`
            self._connection.fail(self._request, error)
        self._connection.finished(self)

    def set_exception(self, error: BaseException, /) -> None:
        """Write why there is none."""
        self._over, self._withdraw = True, None
        self._connection.fail(self._request, error)
        self._connection.finished(self)

    def abandon(self) -> None:
        """Work on it no longer: its client is gone."""
        if self.task is not None:
            self.task.cancel()
        elif not self._over:
            self._over = True
            if self._withdraw is not None:
                self._withdraw()
            self._connection.finished(self)

    def _worked_out(self, task: asyncio.Task[Reply | None]) -> None:
        if task.cancelled():
            self._over = True
            self._connection.finished(self)
        elif (error := task.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(task.result())


def _as_it_is(found: Reply | None) -> Reply | None:
    return found


def _encoded(reply: Reply) -> bytes:
    """Write a line as `wire.encode` does, in a tenth of its time."""
    line = msgspec.json.encode(reply) + b"\n"
    if len(line) > wire.MAX_LINE_BYTES:
        raise wire.WireError("too_large", f"a line of {len(line)} bytes; at most {wire.MAX_LINE_BYTES} are allowed")
    return line
