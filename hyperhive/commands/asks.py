"""A command that waits for its answer, and where those wait that nothing follows from yet."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import attrs

from hyperhive.commands.command import Command
from hyperhive.events.envelope import Recorded

Answer = tuple[Recorded, ...]
"""The facts that a command led to; none where it was so already."""
Topic = tuple[str, Any]
"""A view and the first field of its rows' key, such as ``("messages", "coder")``."""


class Hearer(Protocol):
    """Whoever waits for an answer: a future, or somebody who acts on it in the moment in which it is durable."""

    def done(self) -> bool:
        """Whether it has heard an answer, or has gone."""

    def set_result(self, answer: Answer, /) -> None:
        """Hear the facts."""

    def set_exception(self, error: Exception, /) -> None:
        """Hear why there are none."""


@attrs.define(eq=False)
class Ask:
    """A command, who waits for its answer, and what it waits for, and how long, where nothing follows yet."""

    command: Command
    hearer: Hearer
    topics: tuple[Topic, ...] = ()
    seconds: float = 0.0
    end: asyncio.TimerHandle | None = None
    """Of its wait, once it waits."""

    def resolve(self, answer: Answer | Exception) -> None:
        """Give the answer, unless there is one already, or nobody to hear it."""
        if self.end is not None:
            self.end.cancel()
        if self.hearer.done():
            return
        if isinstance(answer, Exception):
            self.hearer.set_exception(answer)
        else:
            self.hearer.set_result(answer)


class Parking:
    """The asks that wait, by what they wait for."""

    def __init__(self) -> None:
        self._by_topic: dict[Topic, dict[Ask, None]] = {}

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._by_topic)

    def put(self, ask: Ask) -> None:
        """Let an ask wait."""
        for topic in ask.topics:
            self._by_topic.setdefault(topic, {})[ask] = None

    def take(self, touched: set[Topic]) -> list[Ask]:
        """Return the asks that one of these wakes, in the order in which they came; they wait no more."""
        found = {ask: None for topic in touched & self._by_topic.keys() for ask in self._by_topic[topic]}
        for ask in found:
            self.drop(ask)
        return list(found)

    def take_all(self) -> list[Ask]:
        """Return every ask; nobody waits any more."""
        return self.take(set(self._by_topic))

    def drop(self, ask: Ask) -> None:
        """Let an ask wait no more."""
        for topic in ask.topics:
            if (asks := self._by_topic.get(topic)) is not None:
                asks.pop(ask, None)
                if not asks:
                    del self._by_topic[topic]
