"""What the rehearsal has seen: the last requests, and those that no rule fitted."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

import attrs

from hyperhive.rehearsal.answers import Unmatched

KEPT = 1000
"""How many requests, unmatched requests and counts of attempts are remembered."""


@attrs.frozen(kw_only=True)
class Seen:
    """One request; sizes are bytes of UTF-8 JSON, ``at`` is RFC 3339 UTC, ``rule`` is None where none fitted.

    ``notes_bytes`` counts what the client program adds inside the conversation: its messages of the role ``system``.
    """

    at: str
    speaker: str
    path: str
    model: str
    rule: str | None
    status: int
    attempt: int
    request_bytes: int
    system_bytes: int
    tools_bytes: int
    notes_bytes: int
    messages: int


@attrs.define
class Record:
    """The bounded memory of a running rehearsal."""

    requests: deque[Seen] = attrs.field(factory=lambda: deque(maxlen=KEPT))
    unmatched: deque[Unmatched] = attrs.field(factory=lambda: deque(maxlen=KEPT))
    _attempts: dict[str, int] = attrs.field(factory=dict)

    def attempt(self, digest: str) -> int:
        """Count one more try of a request, from 1; the longest untouched request is forgotten first."""
        count = self._attempts.pop(digest, 0) + 1
        self._attempts[digest] = count
        if len(self._attempts) > KEPT:
            del self._attempts[next(iter(self._attempts))]
        return count


def sizes(request: Mapping[str, Any]) -> dict[str, int]:
    """Measure the parts of a request that its client program brings along."""
    notes = [message for message in request["messages"] if message["role"] == "system"]
    return {
        "system_bytes": _bytes(request.get("system")),
        "tools_bytes": _bytes(request.get("tools")),
        "notes_bytes": _bytes(notes),
    }


def _bytes(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) if value else 0
