"""The live stream: every fact as one server-sent event, encoded once for all who listen.

A stream that is behind reads on in the log's file, so that no gap and no repeat is possible: positions are dense, and
an event's id is its position. Nothing is queued for anybody: a slow reader is behind, and reads on when it can.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Invalid
from hyperhive.events.damage import LogDamaged
from hyperhive.events.envelope import Recorded, rfc3339
from hyperhive.events.operators import OperatorAdded, OperatorRemoved
from hyperhive.projections.history import History

HELD = 4_096
"""Frames kept in memory, about a megabyte; whoever is further behind reads the file."""
BATCH = 256
"""Frames sent at once, so that one who is far behind does not hold up the others."""
BEAT_SECONDS = 15.0
"""Between two comments on a quiet stream, which show both sides that the other is there."""
STALLED_SECONDS = 30.0
"""A reader that has taken nothing for so long is cut off."""
_COMMENT = b":\n\n"
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the stream back
]
_MOST_DIGITS = 18
OF_PEOPLE = frozenset({OperatorAdded, OperatorRemoved})
_encode = msgspec.json.Encoder().encode

Touches = Callable[[str], Sequence[str]]
"""The sections that a fact of this type may change."""


def frame(fact: Recorded, touches: Sequence[str]) -> bytes:
    """Show a fact as an event of the stream: its envelope, whom it is about, what it changes; never what it says."""
    return _frame(fact.position, fact.stream, fact.type, fact.at, fact.actor, touches)


def _frame(position: int, stream: str, type_name: str, at: int, actor: str, touches: Sequence[str]) -> bytes:  # noqa: PLR0917 - a row of the log
    told: dict[str, Any] = {
        "position": position,
        "type": type_name,
        "stream": stream,
        "at": rfc3339(at),
        "actor": actor,
        "touches": touches,
    }
    category, _, about = stream.partition("-")
    if category in {"agent", "turn", "inbox"}:
        told["agent"] = about
    return b"id: %d\ndata: %b\n\n" % (position, _encode(told))


def _told(event: str, head: int) -> bytes:
    return b'event: %b\ndata: {"position":%d}\n\n' % (event.encode(), head)


class Source:
    """What streams follow: it knows how far it goes and what comes after a place, and wakes who waits."""

    head = 0
    """The last place that may be told."""

    def __init__(self) -> None:
        self.ended = False
        self.beats = 0
        self.sent = 0
        """Events, to all streams together."""
        self.people_changed = 0
        """How often somebody's key began or ended."""
        self.streams: set[Stream] = set()
        self._beat: asyncio.TimerHandle | None = None

    def after(self, position: int) -> tuple[int, bytes]:
        """Return what follows a place, as far as it is sent at once, and where that ends."""
        raise NotImplementedError

    def wake(self) -> None:
        """Let every stream look again."""
        for stream in self.streams:
            stream.wake()

    @contextlib.contextmanager
    def open(self, stream: Stream) -> Iterator[None]:
        """Let a stream be woken for the length of a block."""
        self.streams.add(stream)
        if self._beat is None:
            self._beat = asyncio.get_running_loop().call_later(BEAT_SECONDS, self._on_beat)
        try:
            yield
        finally:
            self.streams.discard(stream)
            if not self.streams and self._beat is not None:
                self._beat.cancel()
                self._beat = None

    def _on_beat(self) -> None:
        loop = asyncio.get_running_loop()
        self.beats += 1
        for stream in self.streams:
            stream.cut_if_stalled(loop.time() - STALLED_SECONDS)
        self.wake()
        self._beat = loop.call_later(BEAT_SECONDS, self._on_beat)


class Feed(Source):
    """Hears every fact, and wakes the streams."""

    def __init__(self, dispatcher: Dispatcher, history: History, touches: Touches) -> None:
        super().__init__()
        self._history = history
        self._touches = touches
        self._frames: deque[bytes] = deque(maxlen=HELD)
        """The newest ones; the last has the position `head`."""
        self._hive = dispatcher.hive
        self.head = dispatcher.hive.position
        """The last position that may be told: it is durable."""
        self._shared: tuple[int, int, bytes] = (0, 0, b"")
        self._dispatcher = dispatcher
        dispatcher.listen(self._tell)

    def _tell(self, facts: list[Recorded]) -> None:
        for fact in facts:
            self._frames.append(frame(fact, self._touches(fact.type)))
            self.people_changed += type(fact.event) in OF_PEOPLE
        if facts:
            self.head = facts[-1].position
        if self._dispatcher.released:
            self.ended = True
        self.wake()

    def after(self, position: int) -> tuple[int, bytes]:
        """Return what follows a position, as far as it is sent at once, and where that ends."""
        first = self.head - len(self._frames) + 1
        if position + 1 >= first:
            return self._recent(position, position + 1 - first)
        try:
            rows = self._history.envelopes(position, min(BATCH, first - 1 - position))
        except LogDamaged:  # what was archived is not there: who wants it sees the present instead
            return self.head, _told("reset", self.head)
        frames = [_frame(*row, self._touches(row[2])) for row in rows]
        return position + len(rows), b"".join(frames)

    def _recent(self, position: int, skip: int) -> tuple[int, bytes]:
        end = min(self.head, position + BATCH)
        # Most streams stand at the same place: what one is sent, the others are sent, too.
        if self._shared[:2] != (position, end):
            frames = [self._frames[at] for at in range(skip, skip + end - position)]
            self._shared = (position, end, frames[0] if len(frames) == 1 else b"".join(frames))
        return end, self._shared[2]


class Stream:
    """One open stream; an ASGI application."""

    def __init__(self, feed: Source, after: int | None, still: Callable[[], bool]) -> None:
        self._feed = feed
        self._at = feed.head if after is None else after
        self._still = still
        """Whether who listens still may."""
        self._waiter: asyncio.Future[None] | None = None
        self._gone = False
        self._sending_since: float | None = None
        self._cut: Callable[[], None] = _nothing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the reader is gone, may no longer listen, or the daemon ends."""
        if (connection := scope.get("hyperhive.connection")) is not None:
            self._cut = connection.cut
        leaving = asyncio.create_task(_left(receive))
        leaving.add_done_callback(self._on_left)
        try:
            with self._feed.open(self):
                await self._send(send, {"type": "http.response.start", "status": 200, "headers": _HEADERS})
                await self._write(send, self._opening())
                await self._follow(send)
                if not self._gone:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            leaving.cancel()

    def _opening(self) -> bytes:
        """Say where the log ends, so that a reader knows when it has caught up.

        A position that the log does not have yet is one of another log (this one was restored): the reader begins anew.
        """
        head = self._feed.head
        event = "open"
        if self._at > head:
            event, self._at = "reset", head
        return _told(event, head)

    async def _follow(self, send: Send) -> None:
        feed, beats, people = self._feed, self._feed.beats, self._feed.people_changed
        while not self._gone:
            if people != feed.people_changed:
                people = feed.people_changed
                if not self._still():
                    return
            if self._at < feed.head:
                before = self._at
                self._at, frames = self._next()
                feed.sent += self._at - before
                await self._write(send, frames)
            elif beside := self._beside():
                await self._write(send, beside)
            elif feed.ended:
                return
            elif beats != feed.beats:
                await self._write(send, _COMMENT)
            else:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
                continue
            beats = feed.beats

    def _next(self) -> tuple[int, bytes]:
        """Return what follows, and where that ends."""
        return self._feed.after(self._at)

    def _beside(self) -> bytes:
        """Return what has to be said besides, once all that has a place is told."""
        return b""

    async def _write(self, send: Send, body: bytes) -> None:
        await self._send(send, {"type": "http.response.body", "body": body, "more_body": True})

    async def _send(self, send: Send, message: Message) -> None:
        self._sending_since = asyncio.get_running_loop().time()
        await send(message)
        self._sending_since = None

    def wake(self) -> None:
        """Look again whether there is something to send."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def cut_if_stalled(self, before: float) -> None:
        """Close the connection where its reader has taken nothing since then; it resumes where it was."""
        if self._sending_since is not None and self._sending_since < before:
            self._cut()

    def _on_left(self, _left: asyncio.Task[None]) -> None:
        self._gone = True
        self.wake()


def _nothing() -> None:
    """Cut nothing: there is no connection that could be."""


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def stream(request: Request, feed: Feed) -> Stream:
    """Open a stream after ``Last-Event-ID`` (or ``?after=``); without either, from now on. Raises `Invalid`."""
    return Stream(feed, place_after(request), request.scope["still"])


def place_after(request: Request) -> int | None:
    """Return after which place somebody wants to be told. Raises `Invalid`."""
    given = request.headers.get("last-event-id") or request.query_params.get("after")
    return None if given is None else _position(given)


def _position(given: str) -> int:
    if not (given.isascii() and given.isdecimal() and len(given) <= _MOST_DIGITS):
        raise Invalid(f"Last-Event-ID is {given[:80]!r}; a position of the log is right")
    return int(given)
