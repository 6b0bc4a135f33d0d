"""The gate before every answer: the exact host, no page of another origin, a key where the way asks for one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import attrs
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hyperhive.web.access import Person, Recognise, Who

Endpoint = Callable[[Request], Awaitable[ASGIApp]]
"""Answers a request with a response, or with anything else that can send one (a stream)."""

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    # No script, ours included, makes markup of a string; the one exception is the policy `hive` in parse.js.
    "require-trusted-types-for": "'script'",
    "trusted-types": "hive",
}
CSP = "; ".join(f"{directive} {sources}" for directive, sources in _POLICY.items())
SEALS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Origin-Agent-Cluster": "?1",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""What every answer carries, refusals too."""
_SEALS = [(name.lower().encode(), value.encode()) for name, value in SEALS.items()]
_SEALED = frozenset(name for name, _ in _SEALS)
_UNKEPT = (b"cache-control", b"no-store")
_OWN = frozenset({"", "same-origin", "none"})
"""Sec-Fetch-Site of programs, of our own pages, and of a person who typed or clicked outside of any page."""


class Gate:
    """Middleware: refuses what is meant for another host (DNS rebinding) or comes from a page of another origin."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = {origin.partition("://")[2]: origin for origin in origins}
        """By host, as requests for it name it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 or 403, else pass the request on; seal whatever is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _seal(message["headers"])
            await send(message)

        answer: ASGIApp = self._refusal(scope) or self._app
        await answer(scope, receive, sealed)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._origins or len(headers.getlist("host")) != 1:
            return refusal(scope, 421, f"this is not {host[:80]!r}; ask for {min(self._origins)}")
        origin = headers.get("origin")
        if origin is not None and origin != self._origins[host]:
            return refusal(scope, 403, f"a page of {origin[:80]!r} may not ask here; only our own pages may")
        site = headers.get("sec-fetch-site", "")
        # A link to us may stand anywhere: what a navigation gets is the shell, which says nothing.
        arrives = scope["method"] == "GET" and headers.get("sec-fetch-dest") == "document" and origin is None
        if site not in _OWN and not arrives:
            return refusal(scope, 403, f"a {site[:40]} page may not ask here; only our own pages may")
        return None


def _seal(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers with ours in the place of any of the same name; kept by nobody unless it says so."""
    own = [header for header in headers if header[0].lower() not in _SEALED]
    unkept = () if any(name == b"cache-control" for name, _ in own) else (_UNKEPT,)
    return [*own, *_SEALS, *unkept]


@attrs.frozen(kw_only=True)
class Way:
    """One way through the site: a path, who may take it, and what is there."""

    path: str
    who: Who
    answer: Endpoint
    method: str = "GET"


class Guarded:
    """An ASGI application that lets through who may take a way; no cookie is ever looked at.

    The person then stands in ``scope["person"]``, and ``scope["still"]()`` says whether the key is good still.
    """

    def __init__(self, way: Way, recognise: Recognise) -> None:
        self.who = way.who
        self._answer = way.answer
        self._recognise = recognise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403, else what the way leads to."""
        answer: ASGIApp | None = None
        if self.who is not Who.PUBLIC:
            key = bearer(scope)
            person = self._recognise(key or "")
            answer = _who_refusal(scope, self.who, person, given=key is not None)
            scope["person"], scope["still"] = person, lambda: self._recognise(key or "") == person
            if person is not None and (connection := scope.get("hyperhive.connection")) is not None:
                connection.vouch()
        if answer is None:
            answer = await self._answer(Request(scope, receive))
        await answer(scope, receive, send)


def bearer(scope: Scope) -> str | None:
    """Return the key that a request carries as ``Authorization: Bearer``."""
    scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
    return key if scheme == "Bearer" and key else None


def person_of(request: Request) -> Person:
    """Return who asks, where the way lets nobody through without a key."""
    person = request.scope["person"]
    assert isinstance(person, Person)  # noqa: S101 - only asked by ways that are not public
    return person


def agent_of(request: Request) -> str:
    """Return which agent a request is about: known from the port that it came to, or from its path."""
    return str(request.scope.get("agent") or request.path_params["name"])


def refusal(scope: Scope, status: int, text: str, **headers: str) -> Response:
    """Say why a request is not answered; JSON for whoever asks for it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if "application/json" in Headers(scope=scope).get("accept", ""):
        code = "unauthorized" if status == 401 else "forbidden"
        return JSONResponse({"ok": False, "error": text, "code": code}, status, named)
    return PlainTextResponse(f"{text}\n", status, named)


def _who_refusal(scope: Scope, who: Who, person: Person | None, *, given: bool) -> Response | None:
    if person is None:
        reason = "this key is not known here; it may have been removed" if given else "a key is missing"
        told = f"{reason}: send one as Authorization: Bearer (hyperhive open gives a link with one)"
        return refusal(scope, 401, told, WWW_Authenticate="Bearer")
    if who is Who.OPERATOR and not person.may_act:
        return refusal(scope, 403, f"{person.actor} may only look; an operator may do that")
    return None
