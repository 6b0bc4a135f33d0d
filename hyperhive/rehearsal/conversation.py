"""What a request to the Messages API says about its conversation: what was just read, in which turn, at which step."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

# `claude` puts its own notes to the model between these tags, at the start of a line. The harness prefixes the lines of
# a mail with "> ", so a mail cannot hide text here.
_NOTE = re.compile(
    r"^<system-reminder>.*?</system-reminder>[ \t]*\n?|\A\[Request interrupted by user[^\]\n]*\]\s*\Z",
    re.MULTILINE | re.DOTALL,
)
# How the harness begins a prompt that goes on with a turn which failed: the mail stands above and is not repeated.
_GOES_ON = re.compile(r"\AThe turn on message .+ was cut off \(")


@attrs.frozen(kw_only=True)
class ToolUse:
    """A tool call that the conversation holds."""

    id: str
    tool: str
    input: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class ToolResult:
    """What a tool gave back, and the call that it answers; ``tool`` is empty where that call is unknown."""

    id: str
    tool: str
    text: str
    failed: bool


@attrs.frozen(kw_only=True)
class Exchange:
    """The tools that the model called, and what it was told then: texts and tool results, in their order."""

    calls: tuple[ToolUse, ...]
    told: tuple[str | ToolResult, ...]

    @property
    def news(self) -> tuple[str, ...]:
        """The texts after the last tool result, if any; they begin turns, and all but the last got no answer."""
        last = max((at for at, each in enumerate(self.told) if isinstance(each, ToolResult)), default=-1)
        return tuple(each for each in self.told[last + 1 :] if isinstance(each, str))

    @property
    def results(self) -> tuple[ToolResult, ...]:
        """The tool results that it holds."""
        return tuple(each for each in self.told if isinstance(each, ToolResult))


@attrs.frozen(kw_only=True)
class Heard:
    """A request as the rules see it.

    ``text`` is what a person or the host has just said, ``results`` what tools have just given back; one of them is
    empty. ``turn`` is the text that began the running turn, ``step`` counts the turn's requests from 1, ``called`` are
    the turn's tool calls so far, and ``done`` all calls of the conversation that succeeded. Where the harness has a
    failed turn go on, its mail is read again, together with what the harness says.
    """

    text: str
    results: tuple[ToolResult, ...]
    turn: str
    step: int
    called: tuple[ToolUse, ...]
    done: tuple[ToolUse, ...]


def hear(exchanges: Sequence[Exchange]) -> Heard:
    """Read what is new at the end of a conversation."""
    start = next((at for at in reversed(range(len(exchanges))) if exchanges[at].news), 0)
    turn = _opening(exchanges)
    newest, since = exchanges[-1], exchanges[start + 1 :]
    # A call that was cut off by a crash gets a failed result from `claude`, so it does not count as done.
    succeeded = {result.id for exchange in exchanges for result in exchange.results if not result.failed}
    return Heard(
        text=turn if newest.news else "",
        results=() if newest.news else newest.results,
        turn=turn,
        step=1 + len(since),
        called=tuple(call for exchange in since for call in exchange.calls),
        done=tuple(call for exchange in exchanges for call in exchange.calls if call.id in succeeded),
    )


def _opening(exchanges: Sequence[Exchange]) -> str:
    turn = ""
    for text in (text for exchange in exchanges for text in exchange.news):
        turn = f"{turn}\n{text}" if _GOES_ON.match(text) else text
    return turn


def conversation(request: Mapping[str, Any]) -> tuple[Exchange, ...]:
    """Give the conversation without the program's notes to the model: reminders, messages of the role system.

    A retry has the same conversation as its first try, even where `claude` leaves parts of the request out. The first
    exchange is what the model was told before it said anything.
    """
    names: dict[str, str] = {}
    found: list[tuple[list[ToolUse], list[str | ToolResult]]] = [([], [])]
    after = "assistant"
    for message in request["messages"]:
        role = message["role"]
        for block in _blocks(message["content"]):
            match role, block["type"]:
                case "assistant", kind:
                    if after == "user":
                        found.append(([], []))
                    if kind == "tool_use":
                        names[block["id"]] = block["name"]
                        found[-1][0].append(ToolUse(id=block["id"], tool=block["name"], input=block["input"]))
                case "user", "tool_result":
                    found[-1][1].append(_result(block, names))
                case "user", "text" if text := _without_notes(block["text"]):
                    found[-1][1].append(text)
            after = role if role in {"assistant", "user"} else after
    return tuple(Exchange(calls=tuple(calls), told=tuple(told)) for calls, told in found)


def _blocks(content: str | Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _without_notes(text: str) -> str:
    # Looking for the plain words first spares most texts the slower search.
    left = _NOTE.sub("", text) if "<system-reminder>" in text or "[Request interrupted" in text else text
    return "" if left.isspace() else left


def _result(block: Mapping[str, Any], names: Mapping[str, str]) -> ToolResult:
    texts = (_without_notes(part["text"]) for part in _blocks(block.get("content") or ()) if part["type"] == "text")
    return ToolResult(
        id=block["tool_use_id"],
        tool=names.get(block["tool_use_id"], ""),
        text="\n".join(text for text in texts if text),
        failed=bool(block.get("is_error")),
    )
