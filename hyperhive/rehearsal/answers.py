"""Which answer a scenario gives to a request: a pure function of scenario, speaker, request and attempt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs

from hyperhive.rehearsal.aside import asked_schema, example
from hyperhive.rehearsal.conversation import Heard, conversation, hear
from hyperhive.rehearsal.matching import all_read, built_in, fits, speaks
from hyperhive.rehearsal.placeholders import fill
from hyperhive.rehearsal.rules import Fault, Pace, Rule, Scenario, Script

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
    pace: Pace = attrs.field(factory=Pace)


@attrs.frozen(kw_only=True)
class Refusal:
    """An error that a rule asked for."""

    rule: str
    fault: Fault
    delay_seconds: float = 0.0


@attrs.frozen(kw_only=True)
class Unmatched:
    """No rule fits; ``tried`` are the speaker's rules, ``read`` says what was read, shortened."""

    speaker: str
    read: str
    step: int
    tried: tuple[str, ...]

    @property
    def explanation(self) -> str:
        """Who spoke, what they had just read, and which rules were tried."""
        tried = ", ".join(self.tried) if self.tried else f"none: no rule names {self.speaker}"
        return (
            f"the rehearsal's scenario has no rule for this request: {self.speaker}, step {self.step} of the turn, "
            f"has just read {self.read}; rules tried: {tried}"
        )


Answer = Message | Refusal | Unmatched


def answer(scenario: Scenario, speaker: str, request: Mapping[str, Any], attempt: int) -> Answer:
    """Answer a request as the scenario says; ``attempt`` counts the tries of this very request from 1."""
    seed = f"{digest(speaker, request)}/{attempt}"
    if (schema := asked_schema(request)) is not None:
        return _message("aside", Script(text=_compact(example(schema))), {}, request, seed)
    heard = hear(conversation(request))
    for rule in scenario.rules:
        if (values := fits(rule, speaker, heard, attempt)) is not None:
            return _perform(rule, values, request, seed)
    if scenario.default is not None and speaks(scenario.default, speaker):
        return _perform(scenario.default, built_in(speaker, all_read(heard)), request, seed)
    return Unmatched(
        speaker=speaker,
        read=_shown(heard),
        step=heard.step,
        tried=tuple(rule.label for rule in scenario.rules if speaks(rule, speaker)),
    )


def digest(speaker: str, request: Mapping[str, Any]) -> str:
    """Tell requests apart by their conversation; a retry has the digest of its first try."""
    seen = (speaker, request["model"], request.get("system"), asked_schema(request), conversation(request))
    return hashlib.sha256(repr(seen).encode()).hexdigest()


def count_tokens(request: Mapping[str, Any]) -> int:
    """Estimate tokens as the bytes of the request's JSON ÷ 4."""
    return len(_compact(request).encode()) // 4


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


def _shown(heard: Heard) -> str:
    results = (
        f"the result of {result.tool or 'an unknown tool'}: {_shortened(result.text)}" for result in heard.results
    )
    return "; ".join(results) or _shortened(heard.text)


def _shortened(text: str) -> str:
    return repr(text) if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]!r}… ({len(text)} characters)"


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
