"""The TCP listener and the HTTP server on it, inside the daemon's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

TRIES = 12
FIRST_WAIT_SECONDS = 0.25
MAX_WAIT_SECONDS = 2.0
BACKLOG = 2048


class PortTaken(Exception):  # noqa: N818
    """Nobody can listen on this address."""


async def bind(host: str, port: int) -> socket.socket:
    """Bind with SO_REUSEADDR and listen; "address in use" is tried again, 250 ms doubling to 2 s, 12 tries in all.

    Raises `PortTaken` with what would help; any other error of the bind at once.
    """
    wait = FIRST_WAIT_SECONDS
    for attempt in range(1, TRIES + 1):
        try:
            return _bind_once(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise PortTaken(
                    f"cannot listen on {host}:{port}: {error.strerror}; choose another with --listen"
                ) from error
            if attempt == TRIES:
                raise PortTaken(
                    f"{host}:{port} is in use; stop what listens there or choose another with --listen"
                ) from error
        await asyncio.sleep(wait)
        wait = min(wait * 2, MAX_WAIT_SECONDS)
    raise AssertionError


def _bind_once(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # With SO_REUSEADDR two may bind one port; only one of them may listen.
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


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
