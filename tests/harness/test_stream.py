"""Messages as events: whole, or with a word about what is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import stream, wire

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def nested(depth: int) -> dict[str, Any]:
    """Return a message of objects inside each other."""
    value: dict[str, Any] = {"type": "user"}
    for _ in range(depth - 1):
        value = {"type": "user", "in": value}
    return value


class TestEventOf:
    def test_a_message_is_kept_as_it_came(self) -> None:
        """Known or unknown, every field of a message is in its event."""
        message = {"type": "never_heard_of", "deep": {"er": [1, None, "ü"]}}
        event = stream.event_of(message, at="then")
        assert event == {"at": "then", "type": "never_heard_of", "data": message}

    def test_a_message_without_a_type_is_unknown(self) -> None:
        """What has no type is kept all the same."""
        assert stream.event_of({"type": 7})["type"] == "unknown"

    @pytest.mark.parametrize(
        "message",
        [
            {"type": "user", "content": "x" * (wire.MAX_LINE_BYTES + 1)},
            {"type": "user", "content": float("nan")},
            {"type": "user", "content": "\ud800"},
            nested(wire.MAX_NESTING),
        ],
        ids=["too large", "not a number", "half a pair", "too deep"],
    )
    def test_what_the_wire_refuses_is_said_to_be_missing(self, message: dict[str, Any]) -> None:
        """An event that no line can carry is replaced by its type, its size and the reason."""
        event = stream.event_of(message)
        assert event["type"] == "truncated"
        assert event["data"]["type"] == "user"
        assert event["data"]["reason"]

    def test_the_size_of_what_is_missing_is_told(self) -> None:
        """A reader learns how much was too much."""
        assert stream.event_of({"type": "user", "content": "x" * 2_000_000})["data"]["bytes"] > 2_000_000

    @given(st.dictionaries(st.text(), JSON))
    def test_every_event_fits_the_wire(self, message: dict[str, Any]) -> None:
        """Whatever a session says, the host can read the batch that it comes in."""
        event = stream.event_of(message)
        line = wire.encode({"cmd": "stream", "run": "r", "first": 0, "events": [event], "id": 1})
        assert wire.decode(line)["events"] == [json.loads(json.dumps(event))]
