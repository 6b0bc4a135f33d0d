"""A rehearsal on a loopback port, served inside the caller's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hyperhive.listening import listen
from hyperhive.rehearsal.answers import Unmatched
from hyperhive.rehearsal.app import Stage, rehearsal_app
from hyperhive.rehearsal.record import Seen
from hyperhive.rehearsal.rules import Scenario

__all__ = ["Rehearsal", "rehearsal_app", "serve_rehearsal"]


class Rehearsal:
    """A running rehearsal; `aclose` ends it, and answers that are still being waited for are dropped."""

    def __init__(
        self, stage: Stage, server: uvicorn.Server, running: asyncio.Task[None], listener: socket.socket
    ) -> None:
        self._stage = stage
        self._server = server
        self._running = running
        host, port = listener.getsockname()[:2]
        self.port: int = port
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def requests(self) -> tuple[Seen, ...]:
        """The last requests, oldest first."""
        return tuple(self._stage.record.requests)

    @property
    def unmatched(self) -> tuple[Unmatched, ...]:
        """The last requests that no rule fitted, oldest first."""
        return tuple(self._stage.record.unmatched)

    async def aclose(self) -> None:
        """Close the port and every connection; closing twice is closing once."""
        self._stage.closing.set()
        self._server.should_exit = True
        await self._running


async def serve_rehearsal(
    scenario: Scenario,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    on_unmatched: Callable[[Unmatched], None] | None = None,
) -> Rehearsal:
    """Serve a scenario; port 0 takes a free one.

    Raises `ValueError` for a host that is not loopback: a rehearsal has no secrets and lets everyone in. Raises
    `OSError` where the port cannot be had; one in use is tried again for about 18 seconds.
    """
    _check_loopback(host)
    _LOG.addFilter(_is_no_cut)
    listener = await listen(host, port)
    app = rehearsal_app(scenario, on_unmatched)
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]), name="rehearsal")
    return Rehearsal(app.state.stage, server, running, listener)


def _check_loopback(host: str) -> None:
    with contextlib.suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return
    raise ValueError(f"{host!r} is not a loopback address; a rehearsal listens on 127.0.0.1, ::1 or localhost only")


class _Server(uvicorn.Server):
    """A uvicorn that leaves the process's signals to whoever owns the event loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Protocol(HttpToolsProtocol):
    """A uvicorn protocol that does not log an answer which the scenario cuts off."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _LOG


def _is_no_cut(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("ASGI callable returned without completing response")


_LOG = logging.getLogger("hyperhive.rehearsal.http")
