"""What a request to the Messages API says about its conversation: what was just read, in which turn, at which step."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

# `claude` puts its own notes to the model between these tags, at the start of a line. The harness prefixes the lines of
# a mail with "> ", so a mail cannot hide text here.
_REMINDER = re.compile(r"^<system-reminder>.*?</system-reminder>[ \t]*\n?", re.MULTILINE | re.DOTALL)


@attrs.frozen(kw_only=True)
class ToolResult:
    """What a tool gave back, and the name under which it was called."""

    tool: str
    text: str
    failed: bool


@attrs.frozen(kw_only=True)
class ToolUse:
    """A tool call that the conversation already holds."""

    tool: str
    input: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Heard:
    """A request as the rules see it.

    ``text`` is what a person or the host has just said, ``results`` what tools have just given back; one of them is
    empty. ``turn`` is the text that began the running turn, ``step`` counts the turn's requests from 1, and ``calls``
    are the turn's tool calls so far.
    """

    text: str
    results: tuple[ToolResult, ...]
    turn: str
    step: int
    calls: tuple[ToolUse, ...]


def hear(request: Mapping[str, Any]) -> Heard:
    """Read a request's newest content; system reminders and messages of the role ``system`` are passed over.

    User messages that follow each other count as one (a failed turn leaves its mail behind without an answer). Text
    after the last tool result begins a new turn: an interrupted turn ends that way.
    """
    exchanges = _exchanges(request["messages"])
    names = {use["id"]: use["name"] for answered, _ in exchanges for use in answered if use["type"] == "tool_use"}
    newest = exchanges[-1][1]
    text = _text_after_results(newest)
    results = () if text else tuple(_result(block, names) for block in newest if block["type"] == "tool_result")
    start = next((at for at in reversed(range(len(exchanges))) if _text_after_results(exchanges[at][1])), 0)
    since = exchanges[start + 1 :]
    return Heard(
        text=text,
        results=results,
        turn=_text_after_results(exchanges[start][1]),
        step=1 + len(since),
        calls=tuple(
            ToolUse(tool=use["name"], input=use["input"])
            for answered, _ in since
            for use in answered
            if use["type"] == "tool_use"
        ),
    )


Blocks = list[dict[str, Any]]


def _exchanges(messages: Iterable[Mapping[str, Any]]) -> list[tuple[Blocks, Blocks]]:
    """Pair what the model said with what it was told after it; the first pair has nothing said."""
    pairs: list[tuple[Blocks, Blocks]] = [([], [])]
    for message in messages:
        blocks = _blocks(message["content"])
        match message["role"]:
            case "assistant" if pairs[-1][1] or len(pairs) == 1:
                pairs.append((blocks, []))
            case "assistant":
                pairs[-1][0].extend(blocks)
            case "user":
                pairs[-1][1].extend(blocks)
            case _:
                pass  # a system message in mid-conversation is the host program's, not news to react to
    return pairs


def _blocks(content: str | Sequence[dict[str, Any]]) -> Blocks:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _text_after_results(blocks: Blocks) -> str:
    last = max((at for at, block in enumerate(blocks) if block["type"] == "tool_result"), default=-1)
    return _text(blocks[last + 1 :])


def _text(blocks: Iterable[Mapping[str, Any]]) -> str:
    texts = (_REMINDER.sub("", block["text"]) for block in blocks if block["type"] == "text")
    return "\n".join(text for text in texts if text.strip())


def _result(block: Mapping[str, Any], names: Mapping[str, str]) -> ToolResult:
    return ToolResult(
        tool=names.get(block["tool_use_id"], ""),
        text=_text(_blocks(block.get("content") or "")),
        failed=bool(block.get("is_error")),
    )
