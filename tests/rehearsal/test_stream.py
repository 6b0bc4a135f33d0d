"""An answer on the wire."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hyperhive.rehearsal.answers import Block, Message, Text, Thinking, Tokens, ToolCall
from hyperhive.rehearsal.rules import Fault, Pace
from hyperhive.rehearsal.stream import error, frames, whole

BLOCKS = (
    Thinking(thinking="I think.", signature="abc"),
    Text(text="Hello, bees."),
    ToolCall(id="toolu_1", tool="Bash", input={"command": "ls"}),
)


def message(*blocks: Block, pace: Pace | None = None) -> Message:
    """Build a message of these blocks."""
    return Message(
        rule="rule 1",
        id="msg_1",
        model="claude-x",
        blocks=blocks,
        stop_reason="tool_use",
        tokens=Tokens(input_tokens=10, output_tokens=5, cache_read_input_tokens=3),
        pace=pace or Pace(),
    )


def events(sent: Message) -> list[dict[str, Any]]:
    """Read the stream of a message as a client does."""
    found = []
    for frame in frames(sent):
        first, second, *rest = frame.content.decode().split("\n")
        fields = json.loads(second.removeprefix("data: "))
        assert (first, rest) == (f"event: {fields['type']}", ["", ""])
        found.append(fields)
    return found


def assembled(stream: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the blocks of a stream together again."""
    blocks: list[dict[str, Any]] = []
    for event in stream:
        match event:
            case {"type": "content_block_start", "content_block": block}:
                blocks.append({**block, **({"input": ""} if block["type"] == "tool_use" else {})})
            case {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": piece}}:
                blocks[-1]["input"] += piece
            case {"type": "content_block_delta", "delta": delta}:
                for key in delta.keys() - {"type"}:
                    blocks[-1][key] += delta[key]
    return [{**block, "input": json.loads(block["input"])} if "input" in block else block for block in blocks]


class TestStream:
    """Server-sent events."""

    def test_events_come_in_the_order_of_the_api(self) -> None:
        """Start, ping, each block with its deltas, the stop reason with the usage, the end."""
        stream = events(message(*BLOCKS))
        block = ["content_block_start", "content_block_delta", "content_block_stop"]
        thinking = [*block[:2], *block[1:]]
        assert [event["type"] for event in stream] == [
            "message_start", "ping", *thinking, *block, *block, "message_delta", "message_stop",
        ]  # fmt: skip
        assert stream[0]["message"]["usage"] == {
            "input_tokens": 10,
            "output_tokens": 1,
            "cache_read_input_tokens": 3,
            "cache_creation_input_tokens": 0,
        }
        assert stream[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
        assert stream[-2]["usage"]["output_tokens"] == 5

    @given(
        st.lists(
            st.one_of(
                st.builds(Text, text=st.text()),
                st.builds(Thinking, thinking=st.text(), signature=st.text(min_size=1)),
                st.builds(
                    ToolCall,
                    id=st.just("toolu_1"),
                    tool=st.just("Bash"),
                    input=st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans())),
                ),
            )
        ),
        st.integers(1, 50),
    )
    def test_pieces_add_up_to_the_whole(self, blocks: list[Block], size: int) -> None:
        """Whatever the size of the pieces, a client puts the same message together as it gets without streaming."""
        sent = message(*blocks, pace=Pace(chunk_characters=size))
        assert assembled(events(sent)) == whole(sent)["content"]

    def test_pieces_have_their_pace(self) -> None:
        """Only pieces of content are waited for."""
        sent = message(Text(text="abcd"), pace=Pace(chunk_characters=2, chunk_delay_seconds=0.5))
        assert [frame.wait_seconds for frame in frames(sent)] == [0, 0, 0, 0.5, 0.5, 0, 0, 0]

    def test_cut_ends_in_mid_stream(self) -> None:
        """A cut message has that many pieces of content and no end, even where it had fewer pieces than that."""
        for cut, pieces in ((0, 0), (2, 2), (99, 6)):
            sent = message(Text(text="Hello, bees."), pace=Pace(chunk_characters=2, cut_after_chunks=cut))
            kinds = [event["type"] for event in events(sent)]
            assert kinds.count("content_block_delta") == pieces
            assert "message_stop" not in kinds
            assert "message_delta" not in kinds


class TestWhole:
    """One JSON object."""

    def test_message_without_streaming(self) -> None:
        """One JSON object with content, stop reason and usage."""
        found = whole(message(BLOCKS[1]))
        assert found["content"] == [{"type": "text", "text": "Hello, bees."}]
        assert (found["id"], found["type"], found["role"]) == ("msg_1", "message", "assistant")
        assert (found["model"], found["stop_reason"], found["usage"]["output_tokens"]) == ("claude-x", "tool_use", 5)

    def test_error_has_the_shape_of_the_api(self) -> None:
        """Type, error type and message, and the id of the request."""
        assert error(Fault(status=529, type="overloaded_error", message="busy"), "req_1") == {
            "type": "error",
            "error": {"type": "overloaded_error", "message": "busy"},
            "request_id": "req_1",
        }
