"""The ways to the past: its shell, a moment, the track, the timeline as JSON, the way to the next mark."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from hyperhive.commands.errors import Invalid, Refused
from hyperhive.replay.past import Filter, Past
from hyperhive.web.access import Who
from hyperhive.web.forms import refused
from hyperhive.web.guard import Endpoint, Way
from hyperhive.web.past import track
from hyperhive.web.past.asking import SPANS, Asked, number, read_asked
from hyperhive.web.past.page import PastPage, event_json
from hyperhive.web.past.then import jumped
from hyperhive.web.shell import PAST_MODULES, shell

MOST_MARKS = 2_000
"""Drawn in one window; the track says from where on they are."""
BUCKETS = 240
WIDEST = 8_000
MOST_EVENTS = 1_000
TO = {
    "event": (),
    "crash": track.CRASHES,
    "approval": ("ApprovalRequested", "ApprovalGranted", "ApprovalDenied"),
    "question": track.QUESTIONS,
}
"""What one may jump to."""

_encode = msgspec.json.Encoder().encode
_LAST = 10**18


def past_ways(page: PastPage) -> list[Way]:
    """Return the ways to the past."""
    empty = shell(
        "past", PAST_MODULES, title="past · hyperhive", styles=("hive.css", "dashboard.css", "past.css"), look="past"
    )

    async def show_shell(request: Request) -> Response:
        return empty.answer(request)

    async def show_page(request: Request) -> Response:
        if request.query_params.get("only") == "bar":
            return HTMLResponse(page.bar())
        return HTMLResponse(await page.whole(read_asked(request.query_params)))

    async def show_track(request: Request) -> Response:
        asked = read_asked(request.query_params)
        width = number(request.query_params, "width", default=960, least=1, most=WIDEST)
        return _json(await page.reading.ask(lambda past: track_of(past, asked, width)))

    async def show_events(request: Request) -> Response:
        asked = read_asked(request.query_params)
        most = number(request.query_params, "limit", default=100, least=1, most=MOST_EVENTS)
        before = number(request.query_params, "before", default=_LAST, least=1, most=_LAST)
        return _json(await page.reading.ask(lambda past: events_of(past, asked, before, most)))

    async def show_jump(request: Request) -> Response:
        asked = read_asked(request.query_params)
        to = request.query_params.get("to", "event")
        if to not in TO:
            raise Invalid(f"to is {to[:40]!r}; there are: {', '.join(TO)}")
        by = number(request.query_params, "by", default=-1, least=-1, most=1)
        found, looked = await page.reading.ask(lambda past: jumped(past, asked, TO[to], by))
        return _json({"ok": True, "position": found, "looked": looked})

    return [
        Way(path="/past", who=Who.PUBLIC, answer=show_shell),
        Way(path="/page/past", who=Who.VIEWER, answer=_or_refused(show_page)),
        Way(path="/api/past/track", who=Who.VIEWER, answer=_or_refused(show_track)),
        Way(path="/api/past/events", who=Who.VIEWER, answer=_or_refused(show_events)),
        Way(path="/api/past/jump", who=Who.VIEWER, answer=_or_refused(show_jump)),
    ]


def track_of(past: Past, asked: Asked, width: int) -> dict[str, Any]:
    """Return the compact track around a moment; times are milliseconds since 1970."""
    position, head = asked.position(past), past.head
    first = past.time_of(1) if head else None
    now = time.time_ns() // 1_000
    at = (past.time_of(position) if position else None) or first or now
    shown = track.window(span=SPANS[asked.span], at=at, first=first or now, now=now, width=width)
    edges = [shown.begin - 1 + (shown.end - shown.begin + 1) * part // BUCKETS for part in range(BUCKETS + 1)]
    positions = past.positions_at(edges)
    wanted = Filter(types=track.STANDING_OUT, agent=asked.agent or None)
    page = past.events(wanted, after=None, before=positions[-1] + 1, most=MOST_MARKS)
    inside = [event for event in reversed(page.events) if event.position > positions[0]]
    cut = page.next is not None and page.next > positions[0]
    lanes = track.drawn(inside, shown)
    return {
        "ok": True,
        "head": head,
        "position": position,
        "at": at // 1_000,
        "begin": shown.begin // 1_000,
        "end": shown.end // 1_000,
        "width": width,
        "positions": positions,
        "counts": track.counts(positions),
        "marks": [attrs.asdict(mark) for mark in lanes.marks],
        "waits": [attrs.asdict(wait) for wait in lanes.waits],
        "cut": inside[0].at // 1_000 if cut and inside else None,
    }


def events_of(past: Past, asked: Asked, before: int, most: int) -> dict[str, Any]:
    """Return the timeline as JSON, newest first, up to the moment."""
    position = asked.position(past)
    page = past.events(asked.filter, before=min(before, position + 1), most=most)
    return {
        "ok": True,
        "position": position,
        "events": [event_json(event) for event in page.events],
        "next": page.next,
    }


def _or_refused(answer: Callable[[Request], Awaitable[Response]]) -> Endpoint:
    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except Refused as refusal:
            return refused(refusal)

    return answered


def _json(value: dict[str, Any]) -> Response:
    return Response(_encode(value), media_type="application/json")
