"""The connection to the host: many requests open at once, and none lost when the daemon goes away and comes back."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness import wire
from harness.log import log

Reply = dict[str, Any]

RECONNECT_FIRST_SECONDS = 0.05
RECONNECT_MAX_SECONDS = 2.0
CONNECT_TIMEOUT_SECONDS = 5.0


class Refused(Exception):  # noqa: N818
    """The host said no; ``code`` is one of the wire's."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Closed(Exception):  # noqa: N818
    """The link was closed, or the request withdrawn, before a reply came."""


def command_id() -> str:
    """Return a new id; a request that carries it is done once, however often it is sent."""
    return uuid.uuid4().hex


class Call:
    """One request under way."""

    def __init__(self, number: int, line: bytes, on_done: Callable[[Call], None] | None) -> None:
        self.number = number
        self.line = line
        self.sent_on: socket.socket | None = None
        self._on_done = on_done
        self._done = threading.Event()
        self._reply: Reply | None = None

    def finish(self, reply: Reply | None) -> None:
        """Settle the call; None where no reply will come."""
        self._reply = reply
        self._done.set()
        if self._on_done is not None:
            self._on_done(self)

    @property
    def done(self) -> bool:
        """Whether `result` would return, or raise, at once."""
        return self._done.is_set()

    def result(self) -> Reply:
        """Wait for the reply; raises `Refused` or `Closed`."""
        self._done.wait()
        if self._reply is None:
            raise Closed("the link to the host was closed before a reply came")
        if self._reply.get("ok") is not True:
            raise Refused(str(self._reply.get("code", "invalid")), str(self._reply.get("error", "no reason given")))
        return self._reply


class Link:
    """A connection that is made again for ever; whatever is unanswered then is sent again, in its order.

    So a request may reach the host twice. Those that must not be done twice carry a ``command_id`` (see `command_id`),
    by which the host recognizes them, or are about numbers and ids (``ack``, ``stream``).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers = itertools.count(1)
        self._pending: dict[int, Call] = {}
        self._writing = threading.Lock()
        self._socket: socket.socket | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def open(self) -> None:
        """Begin to connect, and to stay connected."""
        self._thread.start()

    def start(self, request: Mapping[str, Any], *, on_done: Callable[[Call], None] | None = None) -> Call:
        """Send a request, now or when the host is there; ``on_done`` runs in the link's thread.

        Raises `wire.WireError` where the line would be too large.
        """
        number = next(self._numbers)
        call = Call(number, wire.encode({**request, "id": number}), on_done)
        self._pending[number] = call
        with self._writing:
            if self._closing.is_set():
                self._settle(number, None)
            else:
                self._transmit(call)
        return call

    def request(self, request: Mapping[str, Any]) -> Reply:
        """Send a request and wait for its reply, however long the host is away; raises `Refused` or `Closed`."""
        return self.start(request).result()

    def withdraw(self, call: Call) -> None:
        """Give up on a request; what the host may still answer to it is not heard.

        The host learns of it by a new connection: a long poll that nobody listens to would take mail and count it as
        handed over.
        """
        if self._pending.pop(call.number, None) is None:
            return
        call.finish(None)
        with self._writing:
            if self._socket is not None and call.sent_on is self._socket:
                _hang_up(self._socket)

    def close(self) -> None:
        """Hang up for good; what is unanswered ends in `Closed`."""
        with self._writing:
            self._closing.set()
            if self._socket is not None:
                _hang_up(self._socket)
        for number in list(self._pending):
            self._settle(number, None)

    def _run(self) -> None:
        pause = RECONNECT_FIRST_SECONDS
        away_since: float | None = None
        while not self._closing.is_set():
            heard = False
            try:
                with self._connect() as connection:
                    if away_since is not None:
                        log("host_back", away_seconds=round(time.monotonic() - away_since, 1))
                    away_since = None
                    heard = self._converse(connection)
            except OSError as error:
                if away_since is None and not self._closing.is_set():
                    away_since = time.monotonic()
                    log("host_away", error=error)
            # A host that hangs up without a word is not asked again at once.
            pause = RECONNECT_FIRST_SECONDS if heard else min(2 * pause, RECONNECT_MAX_SECONDS)
            self._closing.wait(0 if heard else pause)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_TIMEOUT_SECONDS)
            connection.connect(str(self._path))
            connection.settimeout(None)
        except OSError:
            connection.close()
            raise
        return connection

    def _converse(self, connection: socket.socket) -> bool:
        """Talk until the host hangs up; return whether it answered anything."""
        with self._writing:
            if self._closing.is_set():
                return False
            self._socket = connection
            for call in list(self._pending.values()):
                self._transmit(call)
        heard = False
        try:
            for line in _lines(connection):
                heard = self._answer(line) or heard
        except wire.WireError as error:
            log("host_not_understood", error=error)
        finally:
            with self._writing:
                self._socket = None
        return heard

    def _transmit(self, call: Call) -> None:
        """Write a call's line, once for each connection; the caller holds the lock for writing."""
        if self._socket is None or call.sent_on is self._socket:
            return
        call.sent_on = self._socket
        # The reader sees a connection that is gone, and the next one carries the call again.
        with contextlib.suppress(OSError):
            self._socket.sendall(call.line)

    def _answer(self, line: bytes) -> bool:
        reply = wire.decode(line)
        number = reply.get("id")
        if not isinstance(number, int):
            log("host_complains", code=reply.get("code"), error=reply.get("error"))
            return False
        self._settle(number, reply)
        return True

    def _settle(self, number: int, reply: Reply | None) -> None:
        call = self._pending.pop(number, None)
        if call is not None:
            call.finish(reply)


def _lines(connection: socket.socket) -> Any:
    with connection.makefile("rb") as stream:
        while line := stream.readline(wire.MAX_LINE_BYTES + 1):
            if not line.endswith(b"\n"):
                return  # cut off in the middle, or too long: either way the end of this connection
            yield line


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
