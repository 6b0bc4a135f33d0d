"""Scenario files: TOML into rules, and a clear word about what does not fit."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperhive.rehearsal.placeholders import names_in
from hyperhive.rehearsal.rules import Call, Condition, Fault, Pace, Rule, Scenario, Script, Usage
from hyperhive.rehearsal.table import ScenarioError, Table

__all__ = ["ScenarioError", "load_scenario", "parse_scenario"]

HIVE_PREFIX = "mcp__hive__"
BUILT_IN = ("speaker", "read")
"""Placeholders that every rule has: who speaks, and what they have just read."""

_CONDITION = ("name", "who", "contains", "matches", "unless", "result", "failed", "turn", "step", "once", "times")
_SCRIPT = ("text", "thinking", "call", "error", "stop_reason", "delay_seconds", "stream", "usage")
KEYS = {
    "scenario": ("about", "rule", "default"),
    "rule": (*_CONDITION, *_SCRIPT),
    "default": ("who", *_SCRIPT),
    "call": ("tool", "input"),
    "error": ("status", "type", "message", "retry_after_seconds", "retry"),
    "stream": ("chunk_characters", "chunk_delay_seconds", "cut_after_chunks"),
    "usage": ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
}
"""Every key that may stand in a scenario, by the table it stands in."""
_STOP_REASONS = ("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal")
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The API's own error types by status: https://docs.anthropic.com/en/api/errors."""


def load_scenario(path: str | Path) -> Scenario:
    """Read a scenario file; raises `ScenarioError` that names the file, the rule and the key."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: is not UTF-8 at byte {error.start}; a scenario is TOML in UTF-8") from None
    return parse_scenario(text, source=str(path))


def parse_scenario(text: str, source: str = "scenario") -> Scenario:
    """Read a scenario from its text; ``source`` is how errors call it."""
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScenarioError(f"{source}: is not TOML: {error}") from None
    top = Table(raw, source)
    top.only(KEYS["scenario"])
    rules = tuple(_rule(table, number) for number, table in enumerate(top.tables("rule"), 1))
    default = top.table("default")
    if not rules and default is None:
        raise ScenarioError(f"{source}: has no rule; write at least one [[rule]] or a [default]")
    return Scenario(
        source=source,
        about=top.text("about") or "",
        rules=rules,
        default=None if default is None else _default(default),
    )


def _rule(table: Table, number: int) -> Rule:
    table = table.called(f"rule {number}")
    name = table.text("name")
    label = f"rule {number} ({name})" if name else f"rule {number}"
    table = table.called(label)
    table.only(KEYS["rule"])
    condition = _condition(table)
    rule = Rule(label=label, condition=condition, script=_script(table))
    _check_placeholders(table, rule)
    return rule


def _default(table: Table) -> Rule:
    table = table.called("default")
    table.only(KEYS["default"])
    rule = Rule(label="default", condition=Condition(who=table.names("who")), script=_script(table))
    _check_placeholders(table, rule)
    return rule


def _condition(table: Table) -> Condition:
    result = table.names("result")
    condition = Condition(
        who=table.names("who"),
        contains=table.text("contains"),
        matches=table.regex("matches"),
        unless=table.regex("unless"),
        result=None if result is None else tuple(map(_tool_name, result)),
        failed=table.flag("failed"),
        turn=table.regex("turn"),
        step=table.whole("step", 1),
        once=table.choice("once", ("turn", "conversation")),
        times=table.whole("times", 1),
    )
    if condition.failed is not None and result is None:
        raise table.wrong("failed", "belongs beside result: it says whether that tool's result is an error")
    if result is None and condition.looks_at_text and condition.step not in {None, 1}:
        raise table.wrong("step", "over 1 goes with result: from the second step on, what is read are tool results")
    if result is not None and condition.step == 1:
        raise table.wrong("step", "of 1 does not go with result: a turn begins with a text, not with a tool result")
    return condition


def _script(table: Table) -> Script:
    calls = tuple(_call(call) for call in table.tables("call"))
    error = table.table("error")
    script = Script(
        text=table.text("text"),
        thinking=table.text("thinking"),
        calls=calls,
        fault=None if error is None else _fault(error),
        stop_reason=table.choice("stop_reason", _STOP_REASONS),
        delay_seconds=table.number("delay_seconds") or 0.0,
        pace=_pace(table.table("stream")),
        usage=_usage(table.table("usage")),
    )
    speaks = [key for key in ("text", "thinking", "call") if key in table.raw]
    if script.fault is not None and (speaks or "stream" in table.raw or "usage" in table.raw):
        raise table.wrong("error", "stands for the whole answer; a rule answers with an error or with a message")
    if script.fault is None and not speaks:
        raise ScenarioError(f"{table.where}: says nothing; give text, call, thinking or error")
    return script


def _call(table: Table) -> Call:
    table.only(KEYS["call"])
    name = table.text("tool")
    if not name:
        raise table.wrong("tool", 'is needed: the name of a tool, such as "send" or "Bash"')
    given = table.table("input")
    return Call(tool=_tool_name(name), input={} if given is None else given.plain())


def _tool_name(name: str) -> str:
    # Claude's own tools begin with a capital, the hive's never do, and mcp__… is a name on the wire already.
    return name if name[:1].isupper() or name.startswith("mcp__") else f"{HIVE_PREFIX}{name}"


def _fault(table: Table) -> Fault:
    table.only(KEYS["error"])
    status = table.whole("status", 400)
    if status is None or status > 599:
        raise table.wrong("status", "is needed: an HTTP status from 400 to 599, such as 429, 500 or 529")
    return Fault(
        status=status,
        type=table.text("type") or _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error"),
        message=table.text("message") or f"rehearsed error {status}",
        retry_after_seconds=table.number("retry_after_seconds"),
        retry=table.flag("retry"),
    )


def _pace(table: Table | None) -> Pace:
    if table is None:
        return Pace()
    table.only(KEYS["stream"])
    return Pace(
        chunk_characters=table.whole("chunk_characters", 1) or Pace().chunk_characters,
        chunk_delay_seconds=table.number("chunk_delay_seconds") or 0.0,
        cut_after_chunks=table.whole("cut_after_chunks", 0),
    )


def _usage(table: Table | None) -> Usage:
    if table is None:
        return Usage()
    table.only(KEYS["usage"])
    return Usage(**{key: table.whole(key, 0) for key in KEYS["usage"]})


def _check_placeholders(table: Table, rule: Rule) -> None:
    turn, matches = (
        set(regex.groupindex) if regex else set() for regex in (rule.condition.turn, rule.condition.matches)
    )
    for key, taken in (("turn", set(BUILT_IN)), ("matches", {*BUILT_IN, *turn})):
        if twice := sorted((turn if key == "turn" else matches) & taken):
            raise table.wrong(key, f"names the group {twice[0]!r}, which is taken; call it something else")
    known = {*BUILT_IN, *turn, *matches}
    script = rule.script
    written: Mapping[str, Any] = {
        "text": script.text, "thinking": script.thinking, "call": [dict(call.input) for call in script.calls],
    }  # fmt: skip
    for key, value in written.items():
        for name in names_in(value):
            if name not in known:
                raise table.wrong(
                    key,
                    f"has the placeholder {{{name}}}, and this rule has only {', '.join(sorted(known))}; "
                    f"name a group (?P<{name}>…) in matches or turn, or write {{{{{name}}}}} for the braces themselves",
                )
    if rule.condition.once is not None:
        _check_once(table, rule, {"speaker", *turn})


def _check_once(table: Table, rule: Rule, steady: set[str]) -> None:
    """Refuse a `once` that could not recognize its own calls at a later step of the turn."""
    if not rule.script.calls:
        raise table.wrong("once", "needs a call: a rule has answered once its calls stand in the turn")
    if fleeting := sorted({name for call in rule.script.calls for name in names_in(call.input)} - steady):
        raise table.wrong(
            "once", f"allows in its calls only what stays the same all turn, groups of turn; {fleeting[0]!r} may not"
        )
