"""Connections: how many there may be, and who has to go when there are too many.

Whoever can reach the port can open connections, an agent in its sandbox among them. A connection that has carried a
valid key is known; all others are strangers. Strangers make room for one another, oldest first, so that nobody without
a key can keep out somebody with one.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LIMIT = 1_024
"""Connections of known people and strangers together. A hundred pages that come back at once are strangers, too, until
their keys are read."""
STRANGER_SECONDS = 30.0
"""A connection without a valid key is closed after that, in the middle of whatever it does."""
MAX_HEAD_BYTES = 65_536
"""What may come without being the end of a head or a part of a body; uvicorn's C parser itself has no limit."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Connections:
    """Counts connections."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._strangers: dict[Connection, None] = {}
        self._known: set[Connection] = set()

    @property
    def protocol(self) -> Any:
        """What uvicorn makes of a connection."""
        return partial(Connection, self)

    def __len__(self) -> int:
        """How many are open."""
        return len(self._strangers) + len(self._known)

    def add(self, connection: Connection) -> None:
        """Count a new one, and let the oldest stranger go where there are too many."""
        self._strangers[connection] = None
        if len(self) > self.limit:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.refuse(_FULL)

    def vouch(self, connection: Connection) -> None:
        """Note that it carried a valid key."""
        if connection in self._strangers:
            del self._strangers[connection]
            self._known.add(connection)

    def drop(self, connection: Connection) -> None:
        """Count it no more."""
        self._strangers.pop(connection, None)
        self._known.discard(connection)

    def is_stranger(self, connection: Connection) -> bool:
        """Whether it has carried no valid key yet."""
        return connection in self._strangers

    def cut_port(self, port: int) -> None:
        """Close all that came in at one port."""
        for connection in (*self._strangers, *self._known):
            if connection.server is not None and connection.server[1] == port:
                connection.cut()


class Connection(HttpToolsProtocol):
    """One connection; requests find it in ``scope["hyperhive.connection"]``."""

    def __init__(self, connections: Connections, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._connections = connections
        self._unsettled_bytes = 0
        self._patience: asyncio.TimerHandle | None = None

    def vouch(self) -> None:
        """Say that a valid key came along here."""
        self._connections.vouch(self)

    def cut(self) -> None:
        """Close it now, whatever is still to be sent."""
        self.transport.abort()

    def refuse(self, answer: bytes) -> None:
        """Close it with a last word, if that fits into what the system takes at once."""
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.cut()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(STRANGER_SECONDS, self._lose_patience)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        self._connections.drop(self)
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _lose_patience(self) -> None:
        if self._connections.is_stranger(self):
            self.cut()

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is a head (a trailer, an extension of a chunk) without end."""
        self._unsettled_bytes += len(data)
        super().data_received(data)
        if self._unsettled_bytes > MAX_HEAD_BYTES:
            self.refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Let the request know its connection."""
        super().on_message_begin()
        self.scope["hyperhive.connection"] = self  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        """End the head."""
        self._unsettled_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._unsettled_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._unsettled_bytes = 0
        super().on_message_complete()
