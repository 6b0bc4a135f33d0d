"""HTTP as bytes over a real socket: for streams, and for clients that no library would be."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import attrs

DEADLINE_SECONDS = 60.0


@attrs.frozen
class Event:
    """One event of a stream; ``name`` is empty for a fact."""

    name: str
    id: int | None
    data: dict[str, Any]


@attrs.define
class Stream:
    """An open live stream, read event by event."""

    connection: socket.socket
    rest: bytes = b""
    comments: int = 0

    @classmethod
    def open(cls, port: int, key: str, *, after: int | None = None, path: str = "/events") -> Stream:
        """Ask for a stream and read its head."""
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {key}"]
        lines += [] if after is None else [f"Last-Event-ID: {after}"]
        connection = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        stream = cls(connection)
        head = stream._until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        assert b"text/event-stream" in head
        return stream

    def event(self) -> Event | None:
        """Return the next event; None where the stream has ended."""
        while True:
            frame = self._frame()
            if frame is None:
                return None
            if frame.startswith(":"):
                self.comments += 1
                continue
            fields = dict(line.split(": ", 1) for line in frame.splitlines() if ": " in line)
            number = int(fields["id"]) if "id" in fields else None
            return Event(fields.get("event", ""), number, json.loads(fields["data"]))

    def facts(self, until: int) -> list[Event]:
        """Return the facts up to a position."""
        found: list[Event] = []
        while not found or found[-1].id != until:
            event = self.event()
            assert event is not None, f"it ended after {[each.id for each in found][-3:]}"
            if event.id is not None:
                found.append(event)
        return found

    def close(self) -> None:
        """Hang up."""
        self.connection.close()

    _body: bytes = b""

    def _frame(self) -> str | None:
        while b"\n\n" not in self._body:
            size = int(self._until(b"\r\n"), 16)
            if size == 0:
                return None
            while len(self.rest) < size + 2:
                self._more()
            self._body += self.rest[:size]
            self.rest = self.rest[size + 2 :]
        frame, _, self._body = self._body.partition(b"\n\n")
        return frame.decode()

    def _until(self, end: bytes) -> bytes:
        while end not in self.rest:
            self._more()
        found, _, self.rest = self.rest.partition(end)
        return found

    def _more(self) -> None:
        chunk = self.connection.recv(65_536)
        assert chunk, "the connection was cut"
        self.rest += chunk


def until_closed(connection: socket.socket) -> bytes:
    """Return all that comes until the other side hangs up."""
    connection.settimeout(DEADLINE_SECONDS)
    received = b""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        try:
            chunk = connection.recv(65_536)
        except ConnectionError:
            return received
        if not chunk:
            return received
        received += chunk
    raise AssertionError("it stays open")
