"""``GET /api/journal/{name}``: the end of a container's output, as plain text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from hyperhive.commands.errors import Invalid, Refused
from hyperhive.web.forms import refused
from hyperhive.web.guard import Endpoint, agent_of

DEFAULT_LINES = 200
_MOST_DIGITS = 9

ReadJournal = Callable[[str, str, int], Awaitable[str]]
"""From a name, a unit and a number of lines. Raises `Refused`."""


def journal_endpoint(read: ReadJournal) -> Endpoint:
    """Answer with text that no browser takes for anything else: an agent may have written it."""

    async def answer(request: Request) -> Response:
        try:
            text = await read(agent_of(request), _one(request, "unit", ""), _lines(request))
        except Refused as refusal:
            return refused(refusal)
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return PlainTextResponse(text.encode(errors="replace"), headers=headers)

    return answer


def _lines(request: Request) -> int:
    written = _one(request, "lines", str(DEFAULT_LINES))
    if not (written.isascii() and written.isdecimal() and len(written) <= _MOST_DIGITS):
        raise Invalid(f"lines is {written[:80]!r}; a whole number is right")
    return int(written)


def _one(request: Request, name: str, default: str) -> str:
    values = request.query_params.getlist(name) or [default]
    if len(values) != 1:
        raise Invalid(f"the query has {len(values)} of {name!r}; one is right")
    return values[0]
