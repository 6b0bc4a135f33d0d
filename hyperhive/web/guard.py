"""Who may ask: the exact host, and the operator's token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


class HostCheck:
    """Middleware that refuses a request for another host (DNS rebinding)."""

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


def operators_only(token: str, answer: Endpoint) -> Endpoint:
    """Let a request through that carries the operator's token; no cookie is ever looked at."""
    expected = f"Bearer {token}".encode()

    async def guard(request: Request) -> Response:
        given = request.headers.get("authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, expected):
            return PlainTextResponse(
                "send the operator's token as Authorization: Bearer; it is in the data directory\n",
                401,
                {"WWW-Authenticate": "Bearer"},
            )
        return await answer(request)

    return guard
