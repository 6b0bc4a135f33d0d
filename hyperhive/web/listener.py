"""The HTTP server and its TCP listener, inside the daemon's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from hyperhive.listening import BACKLOG, listen
from hyperhive.web.connections import Connections

HANDSHAKE_SECONDS = 5.0
"""A connection is not counted before it speaks TLS."""


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
    """Serves an application until it is closed; others may be served beside it, each on a listener of its own."""

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        *,
        connections: Connections | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        # What anybody can send without a key is not worth a line: an invalid request, an upgrade.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self.connections = Connections() if connections is None else connections
        self._tls = tls
        self._app = app
        self._server = _Server(self._config(app))
        self._listener = listener
        self._task: asyncio.Task[None] | None = None

    def _config(self, app: ASGIApp) -> uvicorn.Config:
        return uvicorn.Config(
            app,
            http=self.connections.protocol,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
            server_header=False,
            proxy_headers=False,  # anybody here could send them, and nothing follows from what they say
        )

    async def open(self) -> None:
        """Begin to serve."""
        # uvicorn's own start cannot be told a deadline for TLS handshakes, so it gets no socket to listen on.
        self._task = asyncio.create_task(self._server.serve(sockets=[]), name="http")
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        if self._task.done():
            self._task.result()
        await self.serve_beside(self._app, self._listener)

    async def serve_beside(self, app: ASGIApp, listener: socket.socket) -> Callable[[], None]:
        """Serve an application on a listener; returns what ends that.

        As uvicorn's own `Server.startup` does for its sockets; a server for each would tick ten times a second.
        """
        config = self._config(app)
        config.load()
        port = listener.getsockname()[1]

        def connection() -> asyncio.Protocol:
            made: asyncio.Protocol = self.connections.protocol(
                config=config, server_state=self._server.server_state, app_state={}
            )
            return made

        server = await asyncio.get_running_loop().create_server(
            connection,
            sock=listener,
            ssl=self._tls,
            ssl_handshake_timeout=None if self._tls is None else HANDSHAKE_SECONDS,
            backlog=BACKLOG,
        )
        self._server.servers.append(server)

        def end() -> None:
            if server in self._server.servers:
                self._server.servers.remove(server)
            server.close()
            self.connections.cut_port(port)

        return end

    async def close(self) -> None:
        """End open requests within two seconds and stop."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
