"""The live stream of one agent's page: each raw event as it is kept, and which parts of the page have changed.

An event's id is its own in the agent's file, so that no gap and no repeat is possible there. What changes around the
stream is told by name alone, and all of it anew on each connection: whoever hears it asks how things stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.events.envelope import Recorded
from hyperhive.events.stream_reading import StreamReader
from hyperhive.events.stream_store import StreamEvent
from hyperhive.web.live import OF_PEOPLE, Source, Stream

BATCH_EVENTS = 32
"""Sent at once; each may have a megabyte."""
TOUCHES = {
    "agent": ("bar", "rail", "waiting"),
    "turn": ("bar", "rail", "waiting", "stream"),
    "inbox": ("inbox", "waiting"),
    "hive": ("bar",),
}
"""The parts that a fact may change, by the category of its stream."""
_encode = msgspec.json.Encoder().encode


class TurnFeed(Source):
    """Knows how far one agent's stream goes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._reader = StreamReader(path)
        self.head = self._reader.newest_id()
        self.noted = 0
        """Counts what has changed around the stream."""
        self._noted_at: dict[str, int] = {}

    def grow(self) -> None:
        """Look how far the stream goes now; one that was wiped begins anew."""
        self.head = self._reader.newest_id()
        self.wake()

    def note(self, parts: Iterable[str]) -> None:
        """Take note of parts that have changed."""
        self.noted += 1
        self._noted_at |= dict.fromkeys(parts, self.noted)
        self.wake()

    def touched(self, since: int) -> list[str]:
        """Return the parts that have changed since then."""
        return [part for part, at in self._noted_at.items() if at > since]

    def after(self, position: int) -> tuple[int, bytes]:
        """Return the next events whole."""
        return self.read(position, lambda event: {"at": event.at, "type": event.type, "data": event.data})

    def brief(self, position: int) -> tuple[int, bytes]:
        """Return of the next events no more than that they are there."""
        return self.read(position, lambda event: {"type": event.type})

    def read(self, position: int, told: Callable[[StreamEvent], dict[str, object]]) -> tuple[int, bytes]:
        """Return frames of the next events, and where they end."""
        events = self._reader.after(position, BATCH_EVENTS)
        frames = [b"id: %d\ndata: %b\n\n" % (event.id, _encode({"id": event.id, **told(event)})) for event in events]
        return (events[-1].id if events else self.head), b"".join(frames)


class TurnStream(Stream):
    """One page's open stream; ``brief`` for a page that asks for what is shown, and wants no raw event."""

    def __init__(self, feed: TurnFeed, after: int | None, still: Callable[[], bool], *, brief: bool) -> None:
        super().__init__(feed, after, still)
        self._turns = feed
        self._brief = brief
        self._noted = feed.noted

    def _next(self) -> tuple[int, bytes]:
        return self._turns.brief(self._at) if self._brief else self._turns.after(self._at)

    def _beside(self) -> bytes:
        if self._at > self._turns.head:
            self._at = self._turns.head
            return b'event: reset\ndata: {"position":%d}\n\n' % self._at
        if self._noted == self._turns.noted:
            return b""
        touched, self._noted = self._turns.touched(self._noted), self._turns.noted
        return b"id: %d\ndata: %b\n\n" % (self._at, _encode({"touches": touched}))


class TurnFeeds:
    """The feeds of the agents whose pages are, or were, open."""

    def __init__(self, dispatcher: Dispatcher, path_of: Callable[[str], Path]) -> None:
        self._dispatcher = dispatcher
        self._path_of = path_of
        self._feeds: dict[str, TurnFeed] = {}
        dispatcher.listen(self._note)

    def of(self, agent: str) -> TurnFeed:
        """Return an agent's feed; there has to be such an agent, since its name becomes part of a path."""
        if agent not in self._feeds:
            self._feeds[agent] = TurnFeed(self._path_of(agent))
        return self._feeds[agent]

    def grown(self, agent: str) -> None:
        """Take note that something came into an agent's stream."""
        feed = self._feeds.get(agent)
        if feed is not None and feed.streams:
            feed.grow()
        else:
            self._feeds.pop(agent, None)

    def _note(self, facts: list[Recorded]) -> None:
        people = sum(type(fact.event) in OF_PEOPLE for fact in facts)
        for feed in self._feeds.values() if people else ():
            feed.people_changed += people
            feed.wake()
        for fact in facts:
            category, _, about = fact.stream.partition("-")
            named = self._feeds.get(about)
            for feed in self._feeds.values() if category == "hive" else ([named] if named else []):
                feed.note(TOUCHES.get(category, ()))
        if self._dispatcher.released:
            for feed in self._feeds.values():
                feed.ended = True
                feed.wake()
