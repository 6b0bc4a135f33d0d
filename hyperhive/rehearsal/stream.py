"""An answer as the Messages API sends it: server-sent events, one JSON message, or an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs

from hyperhive.rehearsal.answers import Block, Message, Text, Thinking, ToolCall
from hyperhive.rehearsal.rules import Fault


@attrs.frozen(kw_only=True)
class Frame:
    """One server-sent event, and how long to wait before it is sent."""

    content: bytes
    wait_seconds: float = 0.0


def frames(message: Message) -> Iterator[Frame]:
    """Stream a message in the API's order of events; a cut message ends in mid-stream, without its end."""
    pace = message.pace
    sent = 0
    yield _frame("message_start", message={**_head(message), "content": [], "usage": _usage(message, 1)})
    yield _frame("ping")
    for index, block in enumerate(message.blocks):
        yield _frame("content_block_start", index=index, content_block=_opening(block))
        for delta in _deltas(block, pace.chunk_characters):
            if sent == pace.cut_after_chunks:
                return
            yield _frame("content_block_delta", pace.chunk_delay_seconds, index=index, delta=delta)
            sent += 1
        yield _frame("content_block_stop", index=index)
    if pace.cut_after_chunks is not None:
        return
    yield _frame(
        "message_delta",
        delta={"stop_reason": message.stop_reason, "stop_sequence": None},
        usage=_usage(message, message.tokens.output_tokens),
    )
    yield _frame("message_stop")


def whole(message: Message) -> dict[str, Any]:
    """Give the message as the API does without streaming."""
    return {
        **_head(message),
        "content": [_whole_block(block) for block in message.blocks],
        "stop_reason": message.stop_reason,
        "usage": _usage(message, message.tokens.output_tokens),
    }


def error(fault: Fault, request_id: str) -> dict[str, Any]:
    """Give an error in the API's shape."""
    return {"type": "error", "error": {"type": fault.type, "message": fault.message}, "request_id": request_id}


def _frame(event: str, wait_seconds: float = 0.0, /, **fields: Any) -> Frame:
    line = json.dumps({"type": event, **fields}, ensure_ascii=False, separators=(",", ":"))
    return Frame(content=f"event: {event}\ndata: {line}\n\n".encode(), wait_seconds=wait_seconds)


def _head(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "type": "message",
        "role": "assistant",
        "model": message.model,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _usage(message: Message, output_tokens: int) -> dict[str, Any]:
    return {**attrs.asdict(message.tokens), "output_tokens": output_tokens}


def _opening(block: Block) -> dict[str, Any]:
    match block:
        case Thinking():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case Text():
            return {"type": "text", "text": ""}
        case ToolCall():
            return {"type": "tool_use", "id": block.id, "name": block.tool, "input": {}}


def _deltas(block: Block, size: int) -> Iterator[dict[str, Any]]:
    match block:
        case Thinking():
            for piece in _pieces(block.thinking, size):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block.signature}
        case Text():
            for piece in _pieces(block.text, size):
                yield {"type": "text_delta", "text": piece}
        case ToolCall():
            for piece in _pieces(json.dumps(dict(block.input), ensure_ascii=False), size):
                yield {"type": "input_json_delta", "partial_json": piece}


def _pieces(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


def _whole_block(block: Block) -> dict[str, Any]:
    match block:
        case Thinking():
            return {"type": "thinking", "thinking": block.thinking, "signature": block.signature}
        case Text():
            return {"type": "text", "text": block.text}
        case ToolCall():
            return {"type": "tool_use", "id": block.id, "name": block.tool, "input": dict(block.input)}
