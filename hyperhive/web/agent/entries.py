"""What stands in the stream for each raw message of a session: entries, each with its kind and its shape.

A message may be of a shape that nobody has seen: what is not known is shown raw, and nothing here raises for what an
untrusted harness sends. The shapes were seen from `claude` 2.1 with ``--output-format stream-json``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import attrs
import msgspec

from hyperhive.events.stream_store import StreamEvent
from hyperhive.web.agent import tools
from hyperhive.web.agent.prompts import Command, Mail, Output, Words, said_in

Kind = Literal["text", "tools", "mail", "errors", "notes"]
KINDS: tuple[Kind, ...] = ("text", "tools", "mail", "errors", "notes")

QUIET = frozenset({"command_lifecycle", "keep_alive", "control_cancel_request", "rate_limit_event"})
"""Types that say nothing to people."""
QUIET_SYSTEM = frozenset(
    {
        "init",
        "session_state_changed",
        "thinking_tokens",
        "task_started",
        "task_updated",
        "task_progress",
        "background_tasks_changed",
    }
)
SYNTHETIC_MODEL = "<synthetic>"


@attrs.frozen(kw_only=True)
class Entry:
    """One thing that is shown; ``shape`` names the macro that shows ``said``."""

    event: int
    place: int
    """Which of its event's entries it is."""
    at: int
    """Microseconds since 1970, by the harness's clock."""
    kind: Kind
    shape: str
    said: Mapping[str, Any]
    plain: str
    """What a search looks through."""

    @property
    def id(self) -> str:
        """What no other entry of the stream has."""
        return f"{self.event}-{self.place}"


def entries_of(event: StreamEvent) -> list[Entry]:
    """Return what stands for an event, in its order; nothing for what says nothing."""
    at = micros(event.at)
    parts: list[tuple[Kind, str, dict[str, Any], str]] = []
    try:
        parts.extend(_parts(event.type, event.data))
    except (TypeError, ValueError, AttributeError, KeyError, RecursionError):
        parts = [_raw(event.type, event.data)]
    return [
        Entry(event=event.id, place=place, at=at, kind=kind, shape=shape, said=said, plain=plain)
        for place, (kind, shape, said, plain) in enumerate(parts)
    ]


def micros(at: str) -> int:
    """Return an RFC 3339 moment in microseconds since 1970; 0 for what is none."""
    try:
        found = datetime.fromisoformat(at)
        return int(found.replace(tzinfo=found.tzinfo or UTC).timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        return 0


Part = tuple[Kind, str, dict[str, Any], str]


def _parts(type_: str, data: Mapping[str, Any]) -> Iterator[Part]:
    match type_:
        case "assistant":
            yield from _assistant(data)
        case "user":
            yield from _user(data)
        case "system":
            yield from _system(data)
        case "result":
            if data.get("is_error"):
                yield _error("the turn failed", _errors(data))
        case "conversation_reset":
            yield _note("a new session; what was said before is forgotten")
        case "dropped":
            yield _note(f"{data.get('count')} events are missing: the host was away for too long")
        case "truncated":
            yield _note(f"one event is missing: {data.get('reason')}")
        case _ if type_ in QUIET:
            return
        case _:
            yield _raw(type_, data)


def _assistant(data: Mapping[str, Any]) -> Iterator[Part]:
    message, error = data["message"], data.get("error")
    below = isinstance(data.get("parent_tool_use_id"), str)
    for block in message["content"]:
        match block:
            case {"type": "text", "text": str(text)} if isinstance(error, str):
                yield _error(error.replace("_", " "), text)
            case {"type": "text", "text": str(text)}:
                own = message.get("model") == SYNTHETIC_MODEL
                yield "text", "prose", {"text": text, "below": below, "own": own}, text
            case {"type": "thinking", "thinking": str(text)}:
                took = data.get("thinking_duration_ms")
                seconds = round(took / 1_000) if isinstance(took, int | float) else None
                yield "text", "thought", {"text": text, "seconds": seconds, "below": below}, text
            case {"type": "redacted_thinking"}:
                yield "text", "thought", {"text": "", "seconds": None, "below": below}, ""
            case {"type": "tool_use", "id": str(id_), "name": str(name), "input": dict(given)}:
                whole = tools.input_text(name, given)
                said = {
                    "tool": id_,
                    "name": tools.name_of(name),
                    "argument": tools.argument_of(name, given),
                    "input": whole,
                    "below": below,
                    "real_name": name,
                }
                yield "tools", "tool", said, f"{name} {whole}"
            case _:
                yield _raw("assistant", block)


def _user(data: Mapping[str, Any]) -> Iterator[Part]:
    content = data["message"]["content"]
    if isinstance(content, str):
        if data.get("isSynthetic"):
            yield "notes", "kept", {"text": content}, content
        else:
            yield from map(_told, said_in(content))
        return
    for block in content:
        match block:
            case {"type": "tool_result", "tool_use_id": str(id_)}:
                yield _result(id_, block, data.get("tool_use_result"))
            case {"type": "text", "text": str(text)}:
                yield _note(text)
            case _:
                yield _raw("user", block)


def _told(said: Mail | Command | Output | Words) -> Part:
    match said:
        case Mail():
            return "mail", "mail", attrs.asdict(said), f"{said.sender} {said.body}"
        case Command(text=text):
            return "notes", "command", {"text": text}, text
        case Output(text=text):
            return "text", "output", {"text": text}, text
        case Words(text=text):
            return "mail", "words", {"text": text}, text


def _result(id_: str, block: Mapping[str, Any], detail: object) -> Part:
    text, failed = tools.result_text(block.get("content", "")), block.get("is_error") is True
    said = {"tool": id_, "text": text, "failed": failed, "detail": detail}
    return "errors" if failed else "tools", "result", said, text


def _system(data: Mapping[str, Any]) -> Iterator[Part]:
    match data:
        case {"subtype": "compact_boundary", "compact_metadata": dict(found)}:
            said = {name: found.get(name) for name in ("trigger", "pre_tokens", "post_tokens", "duration_ms")}
            yield "notes", "compacted", said, "compacted"
        case {"subtype": "api_retry", "attempt": int(attempt)}:
            status = data.get("error_status")
            name = f"{status if isinstance(status, int) else ''} {data.get('error', '')}".strip()
            delay = data.get("retry_delay_ms")
            after = f" after {delay / 1_000:.0f} s" if isinstance(delay, int | float) else ""
            yield _error(name, f"tried again{after}, {attempt} of {data.get('max_retries')}")
        case {"subtype": "status", "compact_error": str(reason)}:
            yield _error("not compacted", reason)
        case {"subtype": "status"}:
            return
        case {"subtype": "task_notification", "summary": str(summary)}:
            yield _note(f"a subagent has ended ({data.get('status')}): {summary}")
        case {"subtype": str(subtype)} if subtype in QUIET_SYSTEM:
            return
        case _:
            yield _raw(f"system {data.get('subtype')}", data)


def _errors(data: Mapping[str, Any]) -> str:
    errors = data.get("errors")
    return "; ".join(map(str, errors)) if isinstance(errors, list) and errors else str(data.get("result") or "")


def _error(name: str, text: str) -> Part:
    return "errors", "error", {"name": name, "text": text}, f"{name} {text}"


def _note(text: str) -> Part:
    return "notes", "note", {"text": text}, text


def _raw(type_: str, data: object) -> Part:
    text = msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
    return "notes", "raw", {"type": type_, "text": text}, text
