"""The stream's numbers: dense, in order, and every gap explained, whatever the host does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.link import Link
from harness.spool import Buffer, Spool
from harness.stream import event_of
from tests.harness.host import Host, Reply, Request


def event(number: int, size: int = 0) -> dict[str, Any]:
    """Return an event that knows the number it should get."""
    return event_of({"type": "test", "n": number, "pad": "x" * size}, at="then")


class Store:
    """A host's side of one stream, as strict as the real one."""

    def __init__(self) -> None:
        self.events: dict[int, dict[str, Any]] = {}

    @property
    def next(self) -> int:
        """The number that is expected."""
        return max(self.events, default=-1) + 1

    def append(self, first: int, events: list[dict[str, Any]], *, only: int | None = None) -> int:
        """Keep a batch, or the beginning of it; return what is expected next."""
        assert first <= self.next or events[0]["type"] == "dropped", "a gap that nobody explained"
        for number, event in list(enumerate(events, first))[:only]:
            if number >= self.next:
                self.events[number] = event
        return self.next


STEP = st.sampled_from(["add", "add", "add", "send", "lost reply", "half", "refuse"])


class TestBuffer:
    @given(st.lists(STEP, max_size=120), st.integers(min_value=1, max_value=12))
    def test_what_is_added_arrives_or_is_said_to_be_lost(self, steps: list[str], room: int) -> None:
        """Through overflow, lost replies, half-kept batches and refusals, each number is an event or in a loss."""
        buffer, store, added = Buffer(max_events=room), Store(), 0
        for step in [*steps, "send", "send", "send"]:
            if step == "add":
                buffer.add(event(added))
                added += 1
                continue
            first, events = buffer.take()
            if not events:
                continue
            match step:
                case "send":
                    buffer.accepted(store.append(first, events))
                case "lost reply":
                    store.append(first, events)
                case "half":
                    # The first event goes with what explains it.
                    buffer.accepted(store.append(first, events, only=max(1, len(events) // 2)))
                case "refuse":
                    buffer.lose_batch()
        assert len(buffer) == 0
        self.check(store, added)

    def check(self, store: Store, added: int) -> None:
        """Go through what has arrived."""
        expected = 0
        for number, kept in sorted(store.events.items()):
            data = kept["data"]
            if kept["type"] == "dropped":
                # A loss may name what arrived after all, where the reply that said so was lost; never the other way.
                assert data["first"] <= expected <= data["last"] == number
                assert data["count"] == data["last"] - data["first"] + 1
            else:
                assert data["n"] == number == expected
            expected = number + 1
        assert expected == added

    def test_is_bounded_in_bytes(self) -> None:
        """What waits never weighs more than it may."""
        buffer = Buffer(max_bytes=10_000)
        for number in range(100):
            buffer.add(event(number, size=900))
        assert buffer.bytes <= 10_000
        first, events = buffer.take()
        assert events[0]["type"] == "dropped"
        assert events[0]["data"]["last"] == first
        assert events[-1]["data"]["n"] == 99

    def test_a_batch_is_bounded(self) -> None:
        """A batch is about 256 KiB; one event that is larger goes alone."""
        buffer = Buffer()
        for number, size in enumerate([100_000, 100_000, 100_000, 900_000, 10]):
            buffer.add(event(number, size))
        batches = []
        while buffer_events := buffer.take()[1]:
            batches.append([kept["data"]["n"] for kept in buffer_events])
            buffer.accepted(batches[-1][-1] + 1)
        assert batches == [[0, 1], [2], [3], [4]]

    def test_a_host_that_forgot_is_told_what_it_lacks(self) -> None:
        """A host that expects less than it once confirmed hears that the rest is gone."""
        buffer, store = Buffer(), Store()
        for number in range(4):
            buffer.add(event(number))
            first, events = buffer.take()
            buffer.accepted(store.append(first, events))
        for number in (2, 3):
            del store.events[number]
        buffer.accepted(store.next)
        buffer.add(event(4))
        first, events = buffer.take()
        buffer.accepted(store.append(first, events))
        assert store.events[3]["data"] == {"count": 2, "first": 2, "last": 3}
        assert store.events[4]["data"]["n"] == 4


@pytest.fixture
def link(host: Host) -> Iterator[Link]:
    """Return an open link."""
    link = Link(host.path)
    link.open()
    yield link
    link.close()


class TestSpool:
    def numbers(self, host: Host) -> list[int]:
        """Return what has arrived."""
        return [kept["data"]["n"] for kept in host.events("test")]

    def test_sends_in_batches(self, host: Host, link: Link) -> None:
        """Many events go in few requests, in their order."""
        spool = Spool(link)
        for number in range(200):
            spool.add(event(number))
        spool.open()
        host.wait(lambda: len(host.events()) == 200)
        assert self.numbers(host) == list(range(200))
        assert len(host.asked("stream")) == 1

    def test_a_restart_of_the_host_neither_loses_nor_repeats(self, host: Host, link: Link) -> None:
        """A reply that was lost with its connection, and all that was added meanwhile, ends as one dense sequence."""
        spool = Spool(link)
        spool.open()
        taken: list[Request] = []

        def die_before_the_reply(request: Request) -> Reply | None:
            if not taken:
                host._stream(None, request)  # type: ignore[arg-type] # it is kept, and nobody hears of it
                host.stop()
                taken.append(request)
            return None

        host.answers["stream"] = die_before_the_reply
        spool.add(event(0))
        host.wait(lambda: taken)
        for number in range(1, 50):
            spool.add(event(number))
        host.start()
        host.wait(lambda: len(host.events()) == 50)
        assert self.numbers(host) == list(range(50))
        assert [number for number, _ in host.stream[spool.run]] == list(range(50))

    def test_what_the_host_refuses_is_said_to_be_lost(self, host: Host, link: Link) -> None:
        """A refused batch is not sent again: a dropped event tells of it, and the stream goes on."""
        answers: Iterator[Reply | None] = iter([{"ok": False, "code": "invalid", "error": "no"}])
        host.answers["stream"] = lambda _: next(answers, None)
        spool = Spool(link, refused_pause_seconds=0.01)
        spool.add(event(0))
        spool.open()
        host.wait(lambda: host.events("dropped"))
        spool.add(event(1))
        host.wait(lambda: host.events("test"))
        assert [json.dumps(kept["data"]["n"]) for kept in host.events("test")] == ["1"]

    def test_a_host_that_cannot_now_is_asked_again(self, host: Host, link: Link) -> None:
        """Nothing is lost to a daemon that says it is unavailable."""
        answers: Iterator[Reply | None] = iter([{"ok": False, "code": "unavailable", "error": "full"}] * 3)
        host.answers["stream"] = lambda _: next(answers, None)
        spool = Spool(link, refused_pause_seconds=0.01)
        spool.add(event(0))
        spool.open()
        host.wait(host.events)
        assert self.numbers(host) == [0]

    def test_flush_waits_for_the_host(self, host: Host, link: Link) -> None:
        """After a flush everything is with the host, or it says that it is not."""
        spool = Spool(link)
        spool.open()
        spool.add(event(0))
        assert spool.flush(5.0)
        assert self.numbers(host) == [0]
        host.stop()
        spool.add(event(1))
        assert not spool.flush(0.05)
