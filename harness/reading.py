"""What a session's messages mean for its turn: a pure fold over raw messages of ``claude``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs

from harness import failures

TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")

_BROKEN = ("failed", "needs-auth")
"""What ``claude`` says of a tool server that did not come up."""

SYNTHETIC_MODEL = "<synthetic>"
"""Stands as the model of what ``claude`` says itself, such as the text of an API error."""


@attrs.frozen(kw_only=True)
class SessionSeen:
    """The session that runs, and the model it runs on."""

    session_id: str
    model: str


@attrs.frozen(kw_only=True)
class SessionReset:
    """The conversation is cleared: another session with nothing spent goes on in its place."""


@attrs.frozen(kw_only=True)
class StatusSeen:
    """What the session does."""

    status: Literal["thinking", "compacting"]


@attrs.frozen(kw_only=True)
class TurnEnded:
    """A turn's result; ``total_cost_usd`` is the session's so far, ``usage`` this turn's alone."""

    ok: bool
    error_kind: failures.Kind | None
    error: str | None
    total_cost_usd: float
    usage: Mapping[str, int]
    session_id: str | None


@attrs.frozen(kw_only=True)
class ServersSeen:
    """Which tool servers do not work."""

    failed: tuple[str, ...]


Seen = SessionSeen | SessionReset | StatusSeen | TurnEnded | ServersSeen


class Reader:
    """Folds the messages of one session.

    ``claude`` may begin a turn that nobody asked for. A result ends our turn only once our prompt, known by its uuid,
    was taken up; an older ``claude`` echoes no uuids, and there any result does.
    """

    def __init__(self) -> None:
        self._prompt: str | None = None
        self._taken_up = False
        self._echoes = False
        self._api_error: str | None = None

    def begin(self, prompt: str) -> None:
        """Wait for the end of the turn of the prompt with this uuid, which is about to be sent."""
        self._prompt = prompt
        self._taken_up = False
        self._api_error = None

    def read(self, message: Mapping[str, Any]) -> Iterator[Seen]:
        """Yield what a message says; unknown ones say nothing."""
        self._notice_prompt(message)
        match message:
            case {"type": "system", "subtype": "init", "session_id": str(session_id), "model": str(model)}:
                yield SessionSeen(session_id=session_id, model=model)
                yield ServersSeen(failed=_failed_servers(message))
            case {"type": "conversation_reset"}:
                yield SessionReset()
            case {"type": "system", "subtype": "status", "status": status}:
                yield StatusSeen(status="compacting" if status == "compacting" else "thinking")
            case {"type": "system", "subtype": "compact_boundary"}:
                yield StatusSeen(status="thinking")
            case {
                "type": "assistant",
                "parent_tool_use_id": None,
                "session_id": str(session_id),
                "message": dict(said),
            }:
                error = message.get("error")
                self._api_error = error if isinstance(error, str) else None
                name = said.get("model")
                if isinstance(name, str) and name != SYNTHETIC_MODEL:
                    yield SessionSeen(session_id=session_id, model=name)
            case {"type": "result"} if self._prompt is not None and (self._taken_up or not self._echoes):
                self._prompt = None
                yield _ended(message, self._api_error)

    def _notice_prompt(self, message: Mapping[str, Any]) -> None:
        match message:
            case {"type": "command_lifecycle", "command_uuid": uuid, "state": state}:
                self._echoes = True
                self._taken_up |= uuid == self._prompt and state != "queued"
            case {"type": "user", "isReplay": True, "uuid": uuid}:
                self._echoes = True
                self._taken_up |= uuid == self._prompt


def _failed_servers(init: Mapping[str, Any]) -> tuple[str, ...]:
    servers = init.get("mcp_servers")
    named = [server for server in servers if isinstance(server, dict)] if isinstance(servers, list) else []
    return tuple(sorted(str(server.get("name")) for server in named if server.get("status") in _BROKEN))


def _ended(result: Mapping[str, Any], api_error: str | None) -> TurnEnded:
    kind = failures.of_result(result, api_error)
    usage = result.get("usage") or {}
    session_id = result.get("session_id")
    return TurnEnded(
        ok=kind is None,
        error_kind=kind,
        error=None if kind is None else failures.text_of(result),
        total_cost_usd=float(result.get("total_cost_usd") or 0.0),
        usage={name: int(usage.get(name) or 0) for name in TOKENS},
        session_id=session_id if isinstance(session_id, str) else None,
    )
