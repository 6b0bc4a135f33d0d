"""The HTTP application: who may ask, and what is answered."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

import attrs
import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hyperhive.projections import views
from hyperhive.projections.hive import Hive

_encode = msgspec.json.Encoder().encode


@attrs.frozen(kw_only=True)
class Site:
    """What the pages need of the daemon."""

    hive: Hive
    token: str
    """The operator's; every request for data carries it as ``Authorization: Bearer``."""
    hosts: frozenset[str]
    """What the Host header may say: against pages elsewhere whose name points here (DNS rebinding)."""


class HostCheck:
    """Middleware that refuses a request for another host."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 where the Host header names another host, else pass the request on."""
        if scope["type"] == "http":
            host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
            if host not in self._hosts:
                refusal = PlainTextResponse(f"this is not {host[:80]!r}; ask for {min(self._hosts)}\n", 421)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def site(holds: Site) -> Starlette:
    """Build the application."""

    def guarded(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guard(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {holds.token}".encode()):
                return PlainTextResponse(
                    "send the operator's token as Authorization: Bearer; it is in the data directory\n",
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
            return await answer(request)

        return guard

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def api_state(_request: Request) -> Response:
        return Response(_encode(views.state(holds.hive)), media_type="application/json")

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/api/state", guarded(api_state)),
        ],
        middleware=[Middleware(HostCheck, hosts=holds.hosts)],
    )
