"""The turn stream on its way to the host: bounded, in batches, numbered without a gap that is not explained."""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from typing import Any

from harness import stream
from harness.link import Closed, Link, Refused
from harness.log import log
from harness.stream import Event

MAX_BYTES = 8 * 1_048_576
MAX_EVENTS = 20_000
"""What waits here for the host; past either, the oldest goes and a ``dropped`` event takes its place."""
BATCH_BYTES = 262_144
BATCH_EVENTS = 500
BATCH_SECONDS = 0.1
"""A batch goes when it is full, or this long after its first event."""
REFUSED_PAUSE_SECONDS = 2.0


class Buffer:
    """The events not yet with the host, and their numbers.

    From ``next``, which is what the host expects, stand in this order: the batch that is under way, a run of lost
    numbers, the events that wait. A loss is told by one ``dropped`` event that takes the last of the lost numbers, so
    the host sees a batch begin past what it expects only with that event in front.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES, max_events: int = MAX_EVENTS) -> None:
        self.next = 0
        self.bytes = 0
        self._max_bytes = max_bytes
        self._max_events = max_events
        self._first = 0
        self._flight: list[bytes] = []
        self._lost = 0
        self._waiting: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._flight) + self._lost + len(self._waiting)

    def add(self, event: Event) -> None:
        """Take an event that `stream.event_of` made."""
        line = stream.encode(event)
        self._waiting.append(line)
        self.bytes += len(line)
        while self.bytes > self._max_bytes or len(self._waiting) > self._max_events:
            self.bytes -= len(self._waiting.popleft())
            self._lost += 1

    def take(self) -> tuple[int, list[Event]]:
        """Return the batch to send: the one under way again, or the next."""
        if not self._flight:
            self._first = self.next + max(self._lost - 1, 0)
            if self._lost:
                self._flight = [stream.encode(stream.dropped(first=self.next, last=self._first))]
                self._lost = 0
            size = 0
            while self._waiting and len(self._flight) < BATCH_EVENTS:
                size += len(self._waiting[0])
                if size > BATCH_BYTES and self._flight:
                    break
                self.bytes -= len(self._waiting[0])
                self._flight.append(self._waiting.popleft())
        return self._first, [json.loads(line) for line in self._flight]

    def accepted(self, next_: int) -> None:
        """Forget what the host has: all before ``next_``."""
        if next_ < self._first:  # it has less than it said before: what it lacks is gone from here
            self.lose_batch()
            self._lost += self.next - next_
        else:
            del self._flight[: next_ - self._first]
            self._first = next_
        self.next = next_

    def lose_batch(self) -> None:
        """Count the batch under way as lost: the host will not take it."""
        self._lost += self._first + len(self._flight) - self.next if self._flight else 0
        self._flight = []


class Spool:
    """Sends what is added, in the background, to a host that may be away."""

    def __init__(self, link: Link, *, refused_pause_seconds: float = REFUSED_PAUSE_SECONDS) -> None:
        self.run = uuid.uuid4().hex
        self._link = link
        self._refused_pause_seconds = refused_pause_seconds
        self._buffer = Buffer()
        self._changed = threading.Condition()
        self._hurry = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._ship, name="spool", daemon=True)

    def open(self) -> None:
        """Begin to send."""
        self._thread.start()

    def add(self, event: Event) -> None:
        """Take an event that `stream.event_of` made; returns at once."""
        with self._changed:
            self._buffer.add(event)
            self._changed.notify_all()

    def flush(self, within_seconds: float) -> bool:
        """Send what is here without waiting for more; return whether all of it is with the host."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not len(self._buffer), within_seconds)

    def close(self) -> None:
        """Stop sending."""
        with self._changed:
            self._closed.set()
            self._changed.notify_all()

    def _ship(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: len(self._buffer) or self._closed.is_set())
                self._changed.wait_for(self._is_full, BATCH_SECONDS)
                if self._closed.is_set():
                    return
                first, events = self._buffer.take()
            try:
                reply = self._link.request({"cmd": "stream", "run": self.run, "first": first, "events": events})
                self._accepted(reply)
            except Closed:
                return
            except Refused as refused:
                self._refused(refused, first, len(events))

    def _is_full(self) -> bool:
        return self._hurry or self._closed.is_set() or self._buffer.bytes >= BATCH_BYTES

    def _accepted(self, reply: dict[str, Any]) -> None:
        next_ = reply.get("next")
        if not isinstance(next_, int):
            raise Refused("unavailable", f"the host names {next_!r} as next in the stream, and not a number")
        with self._changed:
            self._buffer.accepted(next_)
            self._changed.notify_all()

    def _refused(self, refused: Refused, first: int, count: int) -> None:
        log("stream_refused", code=refused.code, error=refused, first=first, count=count)
        if refused.code != "unavailable":
            with self._changed:
                self._buffer.lose_batch()
        self._closed.wait(self._refused_pause_seconds)
