"""The HTTP server and its TCP listener, inside the daemon's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from hyperhive.listening import listen


class PortTaken(Exception):  # noqa: N818
    """Nobody can listen on this address."""


async def bind(host: str, port: int) -> socket.socket:
    """Listen as `hyperhive.listening.listen` does; raises `PortTaken` with what would help."""
    try:
        return await listen(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"{host}:{port} is in use; stop what listens there or choose another with --listen"
            ) from error
        raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --listen") from error


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the daemon."""
        yield


class HttpServer:
    """Serves an application until it is closed."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2)
        self._server = _Server(config)
        self._listener = listener
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to serve."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]), name="http")
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        if self._task.done():
            self._task.result()

    async def close(self) -> None:
        """End open requests within two seconds and stop."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
