"""A line server for tests of the wire: its requests echo, wait, fail, or answer at length."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from hyperhive.commands.errors import NotFound
from hyperhive.sockets.lines import Connection, LineServer, Protocol, Reply, Request


@attrs.define
class Echo:
    """Answers requests, and notes what came."""

    seen: list[Request] = attrs.field(factory=list)
    refused: int = 0
    released: asyncio.Event = attrs.field(factory=asyncio.Event)
    waiting: int = 0
    ended: int = 0
    """Requests to wait that came to an end, one way or the other."""

    async def __call__(self, _connection: Connection, request: Request) -> Reply | None:
        """Answer one request."""
        self.seen.append(request)
        match request.get("cmd"):
            case "wait":
                self.waiting += 1
                try:
                    await self.released.wait()
                finally:
                    self.ended += 1
            case "long":
                return {"ok": True, "text": "x" * int(request["size"])}
            case "break":
                raise RuntimeError("a defect")
            case "refuse":
                raise NotFound("no such thing " + "y" * int(request.get("size", 0)))
        return {"ok": True, "echo": request.get("text")}

    def error(self, code: str, text: str) -> Reply:
        """Show an error, and count it."""
        self.refused += 1
        return error(code, text)


def error(code: str, text: str) -> Reply:
    """Show an error as an agent's socket does."""
    return {"ok": False, "error": text, "code": code}


@asynccontextmanager
async def serving(
    path: Path, handler: Echo | None = None, *, ids: bool = True, max_connections: int = 64, mode: int = 0o600
) -> AsyncIterator[tuple[LineServer, Echo]]:
    """Serve an echo on a socket for the length of a block."""
    echo = handler or Echo()
    server = LineServer(path, echo, Protocol(error=echo.error, ids=ids), mode=mode, max_connections=max_connections)
    await server.open()
    try:
        yield server, echo
    finally:
        await server.close()
