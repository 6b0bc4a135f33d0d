"""Builds the requests that a client of the Messages API would send, one message after the other."""

from __future__ import annotations

from typing import Any

import attrs

Json = dict[str, Any]


def text(words: str) -> Json:
    """Build a block of text."""
    return {"type": "text", "text": words}


def told(*blocks: Json | str) -> Json:
    """Build a user message."""
    return {"role": "user", "content": [text(block) if isinstance(block, str) else block for block in blocks]}


def said(*blocks: Json | str) -> Json:
    """Build an assistant message."""
    return {**told(*blocks), "role": "assistant"}


def use(tool: str, id: str = "toolu_1", **given: Any) -> Json:  # noqa: A002 - the API's own word
    """Build a tool call."""
    return {"type": "tool_use", "id": id, "name": tool, "input": given}


def result(content: str, id: str = "toolu_1", *, failed: bool = False) -> Json:  # noqa: A002 - the API's own word
    """Build a tool's result."""
    return {"type": "tool_result", "tool_use_id": id, "content": content, "is_error": failed}


def request(*messages: Json, **more: Any) -> Json:
    """Build a request with these messages."""
    tools = [{"name": "Bash", "input_schema": {"type": "object"}}]
    return {"model": "claude-x", "system": "You are coder.", "tools": tools, "messages": list(messages), **more}


@attrs.frozen
class Reminder:
    """A note of the client program, as `claude` writes it."""

    words: str = "Use the TodoWrite tool."

    def __str__(self) -> str:
        return f"<system-reminder>\n{self.words}\n</system-reminder>\n"
