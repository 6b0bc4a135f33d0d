"""The call of a tool that a fact came from, as far as the agent's own turn stream still tells of it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import msgspec

from harness.wire import is_name
from hyperhive.events.envelope import Recorded
from hyperhive.events.stream_reading import StreamReader
from hyperhive.events.stream_store import StreamEvent

_SERVER = "mcp__hive__"
"""How `claude` calls the tools of the server `hive`."""
_NUMBER = re.compile(r"as (?:message|question|approval) (\d+)")
"""What each answer with a number says, see `harness/tools.py`."""
_LATE = 600_000_000
"""Microseconds until a harness has handed in what it saw: it may have been cut off from the host for a while."""
_TOGETHER = 1_000_000
"""Between the clock of a call and the one of its fact."""
_LONGEST = 60
"""Characters of an argument that stand in a line."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@attrs.frozen(kw_only=True)
class ToolCall:
    """What a session called. It is the agent's word: its harness reports the stream, and no chain covers it."""

    agent: str
    name: str
    """The tool's, as the model calls it, without the server's."""
    id: str
    """Of the use of the tool, as the model's API gives it."""
    arguments: dict[str, Any]
    at: int | None
    """Microseconds since 1970 by the harness's clock; None where it gave none."""
    named: bool
    """Whether the tool's answer named what came of it; else it is the turn's newest call that asked for the same."""

    @property
    def words(self) -> str:
        """Say who called what, in one line."""
        given = ", ".join(f"{key} {_short(value)}" for key, value in self.arguments.items() if value not in (None, []))
        return f"{self.agent} called {self.name}" + (f" ({given})" if given else "")


@attrs.frozen
class _Making:
    tool: str
    asks: Callable[[dict[str, Any], Any], bool]
    """Whether these arguments ask for what the fact says."""
    number: Callable[[Recorded], int] | None = None
    """What the tool's answer calls it."""


def _of_name(given: dict[str, Any], event: Any) -> bool:
    return bool(given.get("name") == event.agent)


_MAKING: dict[str, tuple[_Making, ...]] = {
    "MessageSent": (
        _Making(
            "send",
            lambda given, event: (given.get("to"), given.get("body")) == (event.to, event.body),
            lambda recorded: recorded.position,
        ),
    ),
    "QuestionAsked": (
        _Making(
            "ask_operator",
            lambda given, event: given.get("question") == event.question,
            lambda recorded: int(recorded.event.id),
        ),
    ),
    "ApprovalRequested": (
        _Making("request_spawn", _of_name, lambda recorded: int(recorded.event.id)),
        _Making(
            "request_apply_commit",
            lambda given, event: given.get("agent") == event.agent,
            lambda recorded: int(recorded.event.id),
        ),
    ),
    "StartRequested": (_Making("start", _of_name),),
    "KillRequested": (_Making("kill", _of_name),),
    "RestartRequested": (_Making("restart", _of_name),),
}
"""Which tools a fact may have come from."""


class ToolCalls:
    """Looks calls up in the turn streams beside a log; there are none beside a copy of the log alone."""

    def __init__(self, log: Path) -> None:
        self._agents = log.parent / "agents"

    def of(self, fact: Recorded, turn: Recorded | None) -> ToolCall | None:
        """Return the call that a fact came from, where it came from a turn and the stream tells of it."""
        makings = _MAKING.get(fact.type)
        if turn is None or turn.type != "TurnStarted" or makings is None or not is_name(turn.event.agent):
            return None
        stream = StreamReader(self._agents / turn.event.agent / "hyperhive-events.sqlite")
        try:
            between = (turn.at, fact.at + _LATE)
            calls = [call for making in makings for call in _calls(stream, turn.event.agent, making, fact, between)][
                ::-1
            ]
        except (sqlite3.Error, msgspec.MsgspecError, OSError):  # it is not the log: what it cannot say is not known
            return None
        return max(calls, key=lambda call: call.named, default=None)


def _calls(
    stream: StreamReader, agent: str, making: _Making, fact: Recorded, between: tuple[int, int]
) -> Iterator[ToolCall]:
    """Yield the calls that fit, oldest first, without those whose answer named something else."""
    name = f"{_SERVER}{making.tool}"
    for event in stream.telling(name, "assistant", between):
        for block in _blocks(event):
            match block:
                case {"type": "tool_use", "id": str(id_), "name": str(called), "input": dict(given)} if (
                    called == name and making.asks(given, fact.event)
                ):
                    at = _micros(event.at)
                    number = _answered(stream, id_, between) if making.number is not None else None
                    expected = making.number(fact) if making.number is not None else None
                    if number not in (None, expected) or (at is not None and at > fact.at + _TOGETHER):
                        continue
                    yield ToolCall(
                        agent=agent,
                        name=making.tool,
                        id=id_,
                        arguments=given,
                        at=at,
                        named=number is not None,
                    )


def _answered(stream: StreamReader, id_: str, between: tuple[int, int]) -> int | None:
    """Return the number that the answer to a call gave what came of it."""
    for event in stream.telling(id_, "user", between):
        for block in _blocks(event):
            if block.get("type") == "tool_result" and block.get("tool_use_id") == id_:
                found = _NUMBER.search(msgspec.json.encode(block.get("content")).decode())
                return int(found[1]) if found is not None else None
    return None


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    line = " ".join(text.split())
    return f"“{line[:_LONGEST]}{'…' if len(line) > _LONGEST else ''}”" if " " in line else line[:_LONGEST]


def _blocks(event: StreamEvent) -> list[dict[str, Any]]:
    match event.data:
        case {"message": {"content": list(blocks)}}:
            return [block for block in blocks if isinstance(block, dict)]
    return []


def _micros(at: str) -> int | None:
    try:
        return (datetime.fromisoformat(at) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, TypeError):  # an agent may write anything there
        return None
