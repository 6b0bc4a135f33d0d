"""How many errors there are in all that is kept of an agent's stream, counted on from where it was counted to."""

from __future__ import annotations

import threading
from bisect import bisect_left

import attrs

from hyperhive.events.stream_reading import StreamReader
from hyperhive.web.agent.entries import entries_of

PAGE_EVENTS = 200


@attrs.define
class Errors:
    """The errors of one stream; asked in threads, one at a time goes on."""

    _last: int = 0
    """The newest event that was looked at."""
    _at: list[int] = attrs.field(factory=list)
    """The events of the errors, oldest first; an event with two stands there twice."""
    _turn: threading.Lock = attrs.field(factory=threading.Lock)

    def count(self, reader: StreamReader) -> int:
        """Return how many there are now; what was trimmed away is no longer among them."""
        with self._turn:
            if reader.newest_id() < self._last:  # it was wiped, and begins anew
                self._last, self._at = 0, []
            while events := reader.after(self._last, PAGE_EVENTS):
                self._at += [event.id for event in events for entry in entries_of(event) if entry.kind == "errors"]
                self._last = events[-1].id
            oldest = reader.after(0, 1)
            return len(self._at) - bisect_left(self._at, oldest[0].id) if oldest else 0
