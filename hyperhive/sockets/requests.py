"""Reading a request's fields: typed, with errors that name the field and what would be right."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

from hyperhive.commands.errors import Invalid

R = TypeVar("R")

MAX_ID_CHARACTERS = 128
MAX_IDS = 10_000

Number = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""What every JSON reader keeps exactly (RFC 8259, section 6). SQLite takes no integer past 2**63 - 1."""
Ids = Annotated[tuple[Number, ...], msgspec.Meta(max_length=MAX_IDS)]


def read(request: dict[str, Any], shape: type[R], what: str = "") -> R:
    """Read a request as an attrs class; fields it does not know are left alone (a newer client may send them).

    ``what`` names it in an error; else its ``cmd`` does. Raises `Invalid`.
    """
    try:
        return msgspec.convert(request, shape)
    except msgspec.ValidationError as error:
        named = what or f"request {str(request.get('cmd'))[:40]!r}"
        raise Invalid(f"the {named} is off: {error}") from None


def command_id(given: str | None) -> str | None:
    """Check the length of a command id, which is kept for ever."""
    if given is not None and not 1 <= len(given) <= MAX_ID_CHARACTERS:
        raise Invalid(f"a command id of {len(given)} characters; 1 to {MAX_ID_CHARACTERS} are allowed")
    return given
