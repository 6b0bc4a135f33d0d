"""``?before=NUMBER``: which rows are older than those that somebody has."""

from __future__ import annotations

from starlette.requests import Request

from hyperhive.commands.errors import Invalid

_MOST_DIGITS = 18
_NEWEST = "9" * (_MOST_DIGITS - 1)


def before(request: Request, what: str) -> int:
    """Return before which ``what`` rows are wanted; without it, the newest are. Raises `Invalid`."""
    given = request.query_params.get("before", _NEWEST)
    if not (given.isascii() and given.isdecimal() and len(given) < _MOST_DIGITS):
        raise Invalid(f"before is {given[:80]!r}; {what} is right")
    return int(given)
