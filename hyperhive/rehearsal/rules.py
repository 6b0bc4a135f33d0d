"""The values of a scenario: its rules, what each waits for and what each answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import attrs


@attrs.frozen(kw_only=True)
class Call:
    """One tool call; ``tool`` is the name on the wire, strings in ``input`` may hold placeholders."""

    tool: str
    input: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Fault:
    """An error of the API instead of an answer; ``retry`` tells the client outright whether to try again."""

    status: int
    type: str
    message: str
    retry_after_seconds: float | None = None
    retry: bool | None = None


@attrs.frozen(kw_only=True)
class Pace:
    """How an answer is streamed; a cut drops the connection after that many pieces of content."""

    chunk_characters: int = 40
    chunk_delay_seconds: float = 0.0
    cut_after_chunks: int | None = None


@attrs.frozen(kw_only=True)
class Usage:
    """The token counts to report; what is None is counted as bytes ÷ 4, caches as 0."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


Once = Literal["turn", "conversation"]


@attrs.frozen(kw_only=True)
class Condition:
    """When a rule answers; every part that is given must hold.

    ``once``: not where the rule's calls already stand in the running turn, or have succeeded in the conversation.
    """

    who: tuple[str, ...] | None = None
    contains: str | None = None
    matches: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None
    result: tuple[str, ...] | None = None
    failed: bool | None = None
    turn: re.Pattern[str] | None = None
    step: int | None = None
    once: Once | None = None
    times: int | None = None

    @property
    def looks_at_text(self) -> bool:
        """Whether it wants to see words, and not only who is at which step."""
        return self.contains is not None or self.matches is not None or self.unless is not None


@attrs.frozen(kw_only=True)
class Script:
    """What a rule answers: an error, or a message of thinking, text and tool calls in this order."""

    text: str | None = None
    thinking: str | None = None
    calls: tuple[Call, ...] = ()
    fault: Fault | None = None
    stop_reason: str | None = None
    delay_seconds: float = 0.0
    pace: Pace = attrs.field(factory=Pace)
    usage: Usage = attrs.field(factory=Usage)


@attrs.frozen(kw_only=True)
class Rule:
    """One rule; ``label`` is how reports call it, such as ``rule 3 (coder tests)``."""

    label: str
    condition: Condition
    script: Script


@attrs.frozen(kw_only=True)
class Scenario:
    """Rules in their order: the first that fits answers; ``default`` stands behind them all."""

    source: str
    about: str = ""
    rules: tuple[Rule, ...] = ()
    default: Rule | None = None
