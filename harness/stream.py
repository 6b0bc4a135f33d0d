"""One message of a session as an event of the turn stream, made to fit the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness import wire
from harness.log import now

MAX_EVENT_BYTES = wire.MAX_LINE_BYTES - 4_096
"""An event alone in a batch, with the batch around it, still is one line."""

Event = dict[str, Any]


def event_of(message: Mapping[str, Any], *, at: str | None = None) -> Event:
    """Wrap a message as it came, known or not; one that the wire cannot carry becomes a ``truncated`` event.

    That says the ``type`` and the ``bytes`` of what is missing (0 where it is no JSON at all), and the ``reason``.
    """
    kind = message.get("type")
    event = {"at": at or now(), "type": kind if isinstance(kind, str) else "unknown", "data": dict(message)}
    try:
        size = len(encode(event))
    except ValueError as error:
        return _truncated(event, 0, str(error))
    if size > MAX_EVENT_BYTES:
        return _truncated(event, size, f"an event of {size} bytes; at most {MAX_EVENT_BYTES} are allowed")
    try:
        wire.decode(b'{"events":[%b]}' % encode(event))
    except wire.WireError as error:
        return _truncated(event, size, str(error))
    return event


def encode(event: Event) -> bytes:
    """Return an event as it will stand in a batch; raises `ValueError` for what is no JSON, or no UTF-8."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def dropped(*, first: int, last: int) -> Event:
    """Return the event that stands at ``last`` for the events ``first`` to ``last``, itself included."""
    return {"at": now(), "type": "dropped", "data": {"count": last - first + 1, "first": first, "last": last}}


def _truncated(event: Event, size: int, reason: str) -> Event:
    data = {"type": event["type"][:100], "bytes": size, "reason": reason}
    return {"at": event["at"], "type": "truncated", "data": data}
