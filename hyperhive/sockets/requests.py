"""Reading a request's fields: typed, with errors that name the field and what would be right."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from hyperhive.commands.errors import Invalid

R = TypeVar("R")

MAX_ID_CHARACTERS = 128


def read(request: dict[str, Any], shape: type[R]) -> R:
    """Read a request as an attrs class; fields it does not know are left alone (a newer client may send them).

    Raises `Invalid`.
    """
    try:
        return msgspec.convert(request, shape)
    except msgspec.ValidationError as error:
        raise Invalid(f"the request {str(request.get('cmd'))[:40]!r} is off: {error}") from None


def command_id(given: str | None) -> str | None:
    """Check the length of a command id, which is kept for ever."""
    if given is not None and not 1 <= len(given) <= MAX_ID_CHARACTERS:
        raise Invalid(f"a command id of {len(given)} characters; 1 to {MAX_ID_CHARACTERS} are allowed")
    return given
