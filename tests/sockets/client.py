"""A client of a line server, on a real socket, with a deadline on everything it waits for."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

DEADLINE_SECONDS = 60.0
"""For what should come at once; generous, since the machine may be busy."""


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def of(cls, path: Path) -> Client:
        """Connect."""
        return cls(*await asyncio.open_unix_connection(str(path), limit=2**24))

    async def ask(self, request: dict[str, Any] | bytes) -> dict[str, Any]:
        """Send one request and return the next reply."""
        await self.send(request)
        return await self.reply()

    async def send(self, *requests: dict[str, Any] | bytes) -> None:
        """Send lines; bytes go as they are, with no newline added."""
        for request in requests:
            self._writer.write(request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n")
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._writer.drain()

    async def line(self) -> bytes:
        """Return the next line; fail where none comes in time, or the server hangs up."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            line = await self._reader.readline()
        assert line.endswith(b"\n"), f"the server hung up after {line[:200]!r}"
        return line

    async def reply(self) -> dict[str, Any]:
        """Return the next reply."""
        reply: dict[str, Any] = json.loads(await self.line())
        return reply

    async def rest(self) -> bytes:
        """Return what comes until the server hangs up."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._reader.read()

    async def cut_off(self) -> None:
        """Return when the server has hung up, however; fail where it does not."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            try:
                while await self._reader.read(65_536):
                    pass
            except ConnectionError:
                return

    def stop_reading(self) -> None:
        """Leave what comes from now on to the kernel, which keeps little."""
        assert isinstance(self._writer.transport, asyncio.Transport)
        self._writer.transport.pause_reading()

    def read_on(self) -> None:
        """Read again."""
        assert isinstance(self._writer.transport, asyncio.Transport)
        self._writer.transport.resume_reading()

    def half_close(self) -> None:
        """End this side: nothing more will be sent."""
        self._writer.write_eof()

    def leave(self) -> None:
        """Close both sides at once."""
        transport_socket: socket.socket = self._writer.get_extra_info("socket")
        transport_socket.shutdown(socket.SHUT_RDWR)
        self._writer.transport.abort()


async def until(condition: Any) -> None:
    """Wait for a condition that is asked again and again; fail where it does not come."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)
