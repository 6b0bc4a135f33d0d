"""The Messages API over HTTP, answered from a scenario, and what it has seen, for tests and benchmarks."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import attrs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hyperhive.rehearsal.answers import Answer, Message, Refusal, Unmatched, answer, count_tokens, digest
from hyperhive.rehearsal.record import Record, Seen, sizes
from hyperhive.rehearsal.rules import Fault, Scenario
from hyperhive.rehearsal.shape import MalformedError, read_request
from hyperhive.rehearsal.stream import Frame, error, frames, whole

CREDENTIAL_PREFIX = "rehearsal-"
MAX_REQUEST_BYTES = 33_554_432
"""The API's own limit, 32 MB."""


@attrs.define
class Stage:
    """What one running rehearsal holds: its scenario, its record, and whether it is closing."""

    scenario: Scenario
    on_unmatched: Callable[[Unmatched], None] | None = None
    record: Record = attrs.field(factory=Record)
    closing: asyncio.Event = attrs.field(factory=asyncio.Event)

    def tell(self, unmatched: Unmatched) -> None:
        """Keep an unmatched request and hand it on."""
        self.record.unmatched.append(unmatched)
        if self.on_unmatched is not None:
            self.on_unmatched(unmatched)

    async def pause(self, seconds: float) -> bool:
        """Wait; whether the rehearsal is still open after it."""
        if seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.closing.wait(), seconds)
        return not self.closing.is_set()


def rehearsal_app(scenario: Scenario, on_unmatched: Callable[[Unmatched], None] | None = None) -> Starlette:
    """Build the HTTP application; its `Stage` is ``app.state.stage``."""
    routes = [
        Route("/v1/messages", _messages, methods=["POST"]),
        Route("/v1/messages/count_tokens", _count_tokens, methods=["POST"]),
        Route("/rehearsal/requests", _requests),
        Route("/rehearsal/unmatched", _unmatched),
        Route("/", _probe),
        Route("/api/hello", _probe),
        Route("/{path:path}", _nothing, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]
    app = Starlette(routes=routes)
    app.state.stage = Stage(scenario, on_unmatched)
    return app


@attrs.frozen
class _Played:
    """A response sent frame by frame; one that is not ``complete`` lacks its end, and the server hangs up there."""

    frames: Iterable[Frame]
    complete: bool
    content_type: str
    request_id: str
    stage: Stage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        headers = {"content-type": self.content_type, "cache-control": "no-cache", "request-id": self.request_id}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": encoded})
        for frame in self.frames:
            if not await self.stage.pause(frame.wait_seconds):
                return
            await send({"type": "http.response.body", "body": frame.content, "more_body": True})
        if self.complete:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _messages(http: Request) -> ASGIApp:
    stage: Stage = http.app.state.stage
    try:
        speaker, body, request = await _read(http)
    except _RefusedError as refused:
        return _error(refused.fault, _request_id(repr(refused)))
    mark = digest(speaker, request)
    attempt = stage.record.attempt(mark)
    given = answer(stage.scenario, speaker, request, attempt)
    request_id = _request_id(f"{mark}/{attempt}")
    rule, status = _outcome(given)
    stage.record.requests.append(_seen(http, speaker, body, request, rule=rule, status=status, attempt=attempt))
    match given:
        case Unmatched():
            if attempt == 1:
                stage.tell(given)
            # `claude` does not wait and retry after a 400; it tries at once, a few times, with features left out.
            return _error(_invalid(given.explanation), request_id)
        case Refusal():
            if not await stage.pause(given.delay_seconds):
                return _error(_CLOSING, request_id)
            return _error(given.fault, request_id)
        case Message():
            if not await stage.pause(given.delay_seconds):
                return _error(_CLOSING, request_id)
            return _played(given, stage, request_id, streamed=request.get("stream") is True)


async def _count_tokens(http: Request) -> Response:
    stage: Stage = http.app.state.stage
    try:
        speaker, body, request = await _read(http)
    except _RefusedError as refused:
        return _error(refused.fault, _request_id(repr(refused)))
    stage.record.requests.append(_seen(http, speaker, body, request, rule="count_tokens", status=200, attempt=1))
    return JSONResponse({"input_tokens": count_tokens(request)})


async def _requests(http: Request) -> Response:
    return JSONResponse([attrs.asdict(seen) for seen in http.app.state.stage.record.requests])


async def _unmatched(http: Request) -> Response:
    found = http.app.state.stage.record.unmatched
    return JSONResponse([attrs.asdict(each) | {"explanation": each.explanation} for each in found])


async def _probe(_: Request) -> Response:
    return PlainTextResponse("hyperhive rehearsal\n")


async def _nothing(http: Request) -> Response:
    fault = Fault(status=404, type="not_found_error", message=f"the rehearsal serves no {http.method} {http.url.path}")
    return _error(fault, _request_id(fault.message))


class _RefusedError(Exception):
    """A request that does not get as far as the scenario."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


_CLOSING = Fault(status=529, type="overloaded_error", message="the rehearsal is closing")


def _invalid(message: str) -> Fault:
    return Fault(status=400, type="invalid_request_error", message=message, retry=False)


async def _read(http: Request) -> tuple[str, bytes, dict[str, Any]]:
    speaker = _speaker(http)
    if speaker is None:
        message = f"invalid x-api-key: a rehearsal knows its speakers by keys such as {CREDENTIAL_PREFIX}coder"
        raise _RefusedError(Fault(status=401, type="authentication_error", message=message, retry=False))
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        if len(body) > MAX_REQUEST_BYTES:
            message = f"Request exceeds the maximum size of {MAX_REQUEST_BYTES} bytes"
            raise _RefusedError(Fault(status=413, type="request_too_large", message=message))
    try:
        return speaker, bytes(body), read_request(bytes(body))
    except MalformedError as error:
        raise _RefusedError(_invalid(str(error))) from None


def _speaker(http: Request) -> str | None:
    scheme, _, token = http.headers.get("authorization", "").partition(" ")
    key = http.headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")
    return key.removeprefix(CREDENTIAL_PREFIX) or None if key.startswith(CREDENTIAL_PREFIX) else None


def _seen(
    http: Request, speaker: str, body: bytes, request: dict[str, Any], *, rule: str | None, status: int, attempt: int
) -> Seen:
    return Seen(
        at=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        speaker=speaker,
        path=http.url.path,
        model=request["model"],
        rule=rule,
        status=status,
        attempt=attempt,
        request_bytes=len(body),
        messages=len(request["messages"]),
        **sizes(request),
    )


def _outcome(given: Answer) -> tuple[str | None, int]:
    match given:
        case Message():
            return given.rule, 200
        case Refusal():
            return given.rule, given.fault.status
        case Unmatched():
            return None, 400


def _played(message: Message, stage: Stage, request_id: str, *, streamed: bool) -> ASGIApp:
    complete = message.pace.cut_after_chunks is None
    if streamed:
        return _Played(frames(message), complete, "text/event-stream; charset=utf-8", request_id, stage)
    text = json.dumps(whole(message), ensure_ascii=False).encode()
    frame = Frame(content=text if complete else text[: len(text) // 2])
    return _Played([frame], complete, "application/json", request_id, stage)


def _error(fault: Fault, request_id: str) -> Response:
    headers = {"request-id": request_id}
    if fault.retry_after_seconds is not None:
        headers["retry-after"] = str(math.ceil(fault.retry_after_seconds))
    if fault.retry is not None:
        headers["x-should-retry"] = str(fault.retry).lower()
    return JSONResponse(error(fault, request_id), fault.status, headers)


def _request_id(seed: str) -> str:
    return f"req_01{hashlib.sha256(seed.encode()).hexdigest()[:22]}"
