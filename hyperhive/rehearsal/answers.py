"""Which answer a scenario gives to a request: a pure function of scenario, speaker, request and attempt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from hyperhive.rehearsal.conversation import Heard, ToolResult, hear
from hyperhive.rehearsal.placeholders import fill
from hyperhive.rehearsal.rules import Call, Condition, Fault, Pace, Rule, Scenario, Script

SHOWN_CHARACTERS = 300
"""How much of what was read an unmatched request shows."""


@attrs.frozen(kw_only=True)
class Thinking:
    """A block of thinking; the signature is opaque to clients, who give it back unchanged."""

    thinking: str
    signature: str


@attrs.frozen(kw_only=True)
class Text:
    """A block of text."""

    text: str


@attrs.frozen(kw_only=True)
class ToolCall:
    """A block that calls a tool."""

    id: str
    tool: str
    input: Mapping[str, Any]


Block = Thinking | Text | ToolCall


@attrs.frozen(kw_only=True)
class Tokens:
    """The usage that a message reports."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0


@attrs.frozen(kw_only=True)
class Message:
    """The model's message, whole; ``pace`` says how it is streamed."""

    rule: str
    id: str
    model: str
    blocks: tuple[Block, ...]
    stop_reason: str
    tokens: Tokens
    delay_seconds: float = 0.0
    pace: Pace = Pace()


@attrs.frozen(kw_only=True)
class Refusal:
    """An error that a rule asked for."""

    rule: str
    fault: Fault
    delay_seconds: float = 0.0


@attrs.frozen(kw_only=True)
class Unmatched:
    """No rule fits; ``tried`` are the speaker's rules, ``read`` is shortened."""

    speaker: str
    read: str
    step: int
    tried: tuple[str, ...]

    @property
    def rule(self) -> None:
        """No rule answered."""

    @property
    def explanation(self) -> str:
        """Who spoke, what they had just read, and which rules were tried."""
        tried = ", ".join(self.tried) if self.tried else f"none: no rule names {self.speaker}"
        return (
            f"the rehearsal's scenario has no rule for this request: {self.speaker}, step {self.step} of the turn, "
            f"has just read {self.read!r}; rules tried: {tried}"
        )


Answer = Message | Refusal | Unmatched


def answer(scenario: Scenario, speaker: str, request: Mapping[str, Any], attempt: int) -> Answer:
    """Answer a request as the scenario says; ``attempt`` counts the tries of this very request from 1."""
    heard = hear(request)
    seed = digest(speaker, request)
    if (schema := _asked_schema(request)) is not None:
        return _message("aside", Script(text=_compact(_example(schema))), {}, request, f"{seed}/{attempt}")
    for rule in scenario.rules:
        if (values := _fits(rule, speaker, heard, attempt)) is not None:
            return _perform(rule, values, request, f"{seed}/{attempt}")
    if scenario.default is not None and _speaks(scenario.default.condition, speaker):
        values = _values(speaker, _read(heard, heard.results))
        return _perform(scenario.default, values, request, f"{seed}/{attempt}")
    return Unmatched(
        speaker=speaker,
        read=_shortened(_read(heard, heard.results)),
        step=heard.step,
        tried=tuple(rule.label for rule in scenario.rules if _speaks(rule.condition, speaker)),
    )


def digest(speaker: str, request: Mapping[str, Any]) -> str:
    """Tell requests apart by what the model would see; a retry has the digest of its first try."""
    seen = {key: request.get(key) for key in ("model", "system", "messages", "tools")}
    return hashlib.sha256(f"{speaker}\n{_compact(seen)}".encode()).hexdigest()


def count_tokens(request: Mapping[str, Any]) -> int:
    """Estimate tokens as the bytes of the request's JSON ÷ 4."""
    return len(_compact(request).encode()) // 4


def _speaks(condition: Condition, speaker: str) -> bool:
    return condition.who is None or speaker in condition.who


def _fits(rule: Rule, speaker: str, heard: Heard, attempt: int) -> dict[str, str] | None:
    """Return the values of the placeholders where the rule fits."""
    when = rule.condition
    if not _speaks(when, speaker) or (when.times is not None and attempt > when.times):
        return None
    if when.step is not None and when.step != heard.step:
        return None
    turn = when.turn.search(heard.turn) if when.turn else None
    if when.turn and turn is None:
        return None
    for read in _candidates(when, heard):
        found = when.matches.search(read) if when.matches else None
        if (
            (when.matches and found is None)
            or (when.contains is not None and when.contains not in read)
            or (when.unless and when.unless.search(read))
        ):
            continue
        groups = {
            name: text or "" for matched in (turn, found) if matched for name, text in matched.groupdict().items()
        }
        values = _values(speaker, read) | groups
        if when.once and _already_called(rule.script.calls, values, heard):
            return None
        return values
    return None


def _candidates(when: Condition, heard: Heard) -> Iterator[str]:
    """Give what the rule's patterns are to be tried on: each fitting tool result, else the text."""
    if when.result is None:
        about_text = when.contains is not None or when.matches is not None or when.unless is not None
        if heard.text or not about_text:
            yield _read(heard, heard.results)
        return
    for result in heard.results:
        if result.tool in when.result and when.failed in {None, result.failed}:
            yield result.text


def _already_called(calls: tuple[Call, ...], values: Mapping[str, str], heard: Heard) -> bool:
    return all(
        any(use.tool == call.tool and dict(use.input) == fill(call.input, values) for use in heard.calls)
        for call in calls
    )


def _values(speaker: str, read: str) -> dict[str, str]:
    return {"speaker": speaker, "read": read}


def _read(heard: Heard, results: tuple[ToolResult, ...]) -> str:
    return heard.text or "\n".join(result.text for result in results)


def _perform(rule: Rule, values: Mapping[str, str], request: Mapping[str, Any], seed: str) -> Answer:
    script = rule.script
    if script.fault is not None:
        return Refusal(rule=rule.label, fault=script.fault, delay_seconds=script.delay_seconds)
    return _message(rule.label, script, values, request, seed)


def _message(label: str, script: Script, values: Mapping[str, str], request: Mapping[str, Any], seed: str) -> Message:
    blocks: list[Block] = []
    if script.thinking is not None:
        blocks.append(Thinking(thinking=fill(script.thinking, values), signature=_mark("", f"{seed}/thinking", 64)))
    if script.text is not None:
        blocks.append(Text(text=fill(script.text, values)))
    for number, call in enumerate(script.calls):
        made = ToolCall(id=_mark("toolu_01", f"{seed}/{number}"), tool=call.tool, input=fill(call.input, values))
        blocks.append(made)
    usage = script.usage
    return Message(
        rule=label,
        id=_mark("msg_01", seed),
        model=str(request["model"]),
        blocks=tuple(blocks),
        stop_reason=script.stop_reason or ("tool_use" if script.calls else "end_turn"),
        tokens=Tokens(
            input_tokens=count_tokens(request) if usage.input_tokens is None else usage.input_tokens,
            output_tokens=_count_output(blocks) if usage.output_tokens is None else usage.output_tokens,
            cache_read_input_tokens=usage.cache_read_input_tokens or 0,
            cache_creation_input_tokens=usage.cache_creation_input_tokens or 0,
        ),
        delay_seconds=script.delay_seconds,
        pace=script.pace,
    )


def _count_output(blocks: list[Block]) -> int:
    return max(1, sum(len(_spoken(block).encode()) for block in blocks) // 4)


def _spoken(block: Block) -> str:
    match block:
        case Thinking():
            return block.thinking
        case Text():
            return block.text
        case ToolCall():
            return _compact(block.input)


def _mark(prefix: str, seed: str, characters: int = 22) -> str:
    return prefix + hashlib.sha256(seed.encode()).hexdigest()[:characters]


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)"


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _asked_schema(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Give the schema of an aside: `claude` asks for a session's title so, with a form to fill and no tools."""
    form = (request.get("output_config") or {}).get("format") or {}
    schema = form.get("schema")
    return schema if isinstance(schema, Mapping) and not request.get("tools") else None


def _example(schema: Mapping[str, Any]) -> Any:
    """Fill a JSON schema with the plainest value that fits it."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            wanted = schema.get("properties", {})
            return {name: _example(wanted.get(name, {})) for name in schema.get("required", wanted)}
        case "array":
            return []
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case _:
            return "Rehearsal"
