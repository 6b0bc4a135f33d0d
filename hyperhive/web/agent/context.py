"""What the newest messages of a stream say of its session: how full its context is, which commands `claude` knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from hyperhive.events.stream_store import StreamEvent
from hyperhive.web.agent.entries import SYNTHETIC_MODEL

LOOK_BACK = 200
"""Events; a turn ends every few dozen."""
WINDOW_TOKENS = 200_000
"""Of a model whose window no result has named yet."""
RESERVED_TOKENS = 33_000
"""What `claude` (2.1) leaves free of a window before it compacts by itself, as its /context says."""
_USED = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
_MAX_COMMANDS = 200
_MAX_TOKENS = 1_000_000_000


@attrs.frozen(kw_only=True)
class Context:
    """How much of the model's window the conversation takes; None where nothing is known yet."""

    tokens: int | None = None
    window: int = WINDOW_TOKENS
    commands: tuple[str, ...] = ()
    """What `claude` itself knows, by name and without the slash."""

    @property
    def percent(self) -> int:
        """Of the window."""
        return min(100, round(100 * (self.tokens or 0) / self.window))

    @property
    def tick_percent(self) -> int:
        """Where compaction begins."""
        return max(0, round(100 * (self.window - RESERVED_TOKENS) / self.window))


def context_of(newest_first: Iterable[StreamEvent]) -> Context:
    """Read it from a stream's newest events."""
    tokens: int | None = None
    window: int | None = None
    commands: tuple[str, ...] | None = None
    for event in newest_first:
        data = event.data
        if tokens is None:
            tokens = _tokens(event.type, data)
        if window is None and event.type == "result":
            window = _window(data)
        if commands is None and data.get("subtype") == "init":
            found = data.get("slash_commands")
            commands = tuple(map(str, found[:_MAX_COMMANDS])) if isinstance(found, list) else ()
        if None not in (tokens, window, commands):
            break
    return Context(tokens=tokens, window=window or WINDOW_TOKENS, commands=commands or ())


def _tokens(type_: str, data: Mapping[str, Any]) -> int | None:
    match type_, data:
        case "conversation_reset", _:
            return 0
        case "system", {"subtype": "compact_boundary", "compact_metadata": {"post_tokens": int(tokens)}}:
            return _bounded(tokens)
        case "assistant", {"parent_tool_use_id": None, "message": {"model": str(model), "usage": dict(usage)}} if (
            model != SYNTHETIC_MODEL
        ):
            return _bounded(sum(value for name in _USED if isinstance(value := usage.get(name), int)))
        case _:
            return None


def _window(result: Mapping[str, Any]) -> int | None:
    used = result.get("modelUsage")
    found = (
        [row.get("contextWindow") for row in used.values() if isinstance(row, dict)] if isinstance(used, dict) else []
    )
    windows = [size for size in found if isinstance(size, int) and size > RESERVED_TOKENS]
    return _bounded(max(windows)) if windows else None


def _bounded(tokens: int) -> int:
    return max(0, min(tokens, _MAX_TOKENS))
