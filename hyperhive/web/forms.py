"""Reading forms, and answering them: JSON for programs, a redirect back for pages."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from harness.wire import MAX_LINE_BYTES
from hyperhive.commands.errors import Invalid, Refused, TooLarge

STATUS = {"not_found": 404, "conflict": 409, "forbidden": 403, "invalid": 422, "too_large": 413, "unavailable": 503}
"""A refusal's code as an HTTP status."""
MAX_FIELDS = 100


async def read_form(request: Request) -> dict[str, list[str]]:
    """Return a form's fields, each with all its values.

    Raises `TooLarge`, and `Invalid` for what is no form.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise Invalid(f"the content type is {kind[:60]!r}; send application/x-www-form-urlencoded")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_LINE_BYTES:
            raise TooLarge(f"a form of over {MAX_LINE_BYTES} bytes")
    fields: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise Invalid(f"the form cannot be read: {error}") from None
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def accepted(request: Request, found: dict[str, object]) -> Response:
    """Say that it is done."""
    return JSONResponse({"ok": True, **found}) if wants_json(request) else RedirectResponse("/", 303)


def refused(refusal: Refused, **more: object) -> Response:
    """Say why not; the text is for people, the code and whatever else is known for programs."""
    return JSONResponse({"ok": False, "error": str(refusal), "code": refusal.code, **more}, STATUS[refusal.code])


def wants_json(request: Request) -> bool:
    """Whether the client asked for JSON."""
    return "application/json" in request.headers.get("accept", "")
