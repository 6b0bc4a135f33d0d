"""What a harness is told: by its environment for its life, by its host for each session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from harness import wire
from harness.backoff import FIRST_SECONDS

IDLE_SECONDS = 600.0

BASIC_TOOLS = ("send", "recv", "recent")
"""What every agent has."""

Role = Literal["agent", "manager"]


class SettingsError(Exception):
    """A setting that no harness can run with; the text says what would be right."""


@attrs.frozen(kw_only=True)
class Place:
    """Where the harness lives: its socket, its directory, its name."""

    socket: Path
    state: Path
    agent: str
    backoff_seconds: float = FIRST_SECONDS
    """The first pause after a failed turn."""
    generation: int | None = None
    """Of the container, which the host counts; None where it does not say."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Place:
        """Read ``HYPERHIVE_SOCKET``, ``_STATE``, ``_AGENT`` and, where they are set, two more.

        Those are ``_BACKOFF_SECONDS`` and ``_GENERATION``.
        """
        return cls(
            socket=_path(environment, "HYPERHIVE_SOCKET", "the path of agent.sock"),
            state=_path(environment, "HYPERHIVE_STATE", "the agent's state directory"),
            agent=_agent(environment),
            backoff_seconds=_seconds(environment, "HYPERHIVE_BACKOFF_SECONDS", FIRST_SECONDS),
            generation=_count(environment, "HYPERHIVE_GENERATION"),
        )


@attrs.frozen(kw_only=True)
class SessionSpec:
    """How the host wants the next turn's session to be; asked anew for every turn."""

    agent: str
    role: Role = "agent"
    model: str | None = None
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Added to ``claude``'s environment; it holds the credentials."""
    permission_mode: str = "dontAsk"
    allowed_tools: tuple[str, ...] = ()
    tools: tuple[str, ...] = BASIC_TOOLS
    """The hive's tools that this agent has."""
    idle_seconds: float = IDLE_SECONDS
    claude_path: str | None = None
    session_id: str | None = None
    prompt: str = ""
    mcp_servers: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    """The agent's own tool servers: command, args and env of each."""
    turn_seconds: float | None = None
    """A turn that takes longer is ended."""

    @classmethod
    def from_wire(cls, reply: Mapping[str, Any]) -> SessionSpec:
        """Read a reply to ``{"cmd":"session"}``; raises `SettingsError` for a field of the wrong type."""
        return cls(
            agent=_field(reply, "agent", str),
            role="manager" if reply.get("role") == wire.MANAGER else "agent",
            model=_field(reply, "model", str, None),
            env=_strings(_field(reply, "env", dict, {})),
            permission_mode=_field(reply, "permission_mode", str, "dontAsk"),
            allowed_tools=tuple(map(str, _field(reply, "allowed_tools", list, []))),
            tools=tools_of(reply),
            idle_seconds=float(_field(reply, "idle_seconds", (int, float), IDLE_SECONDS)),
            claude_path=_field(reply, "claude_path", str, None),
            session_id=_field(reply, "session_id", str, None),
            prompt=_field(reply, "prompt", str, ""),
            mcp_servers=_field(reply, "mcp_servers", dict, {}),
            turn_seconds=_field(reply, "turn_seconds", (int, float), None),
        )


def tools_of(reply: Mapping[str, Any]) -> tuple[str, ...]:
    """Read which of the hive's tools the host lets this agent have."""
    return tuple(map(str, _field(reply, "tools", list, list(BASIC_TOOLS))))


_REQUIRED = object()


def _field(reply: Mapping[str, Any], name: str, kind: Any, default: Any = _REQUIRED) -> Any:
    value = reply.get(name)
    if value is None and default is not _REQUIRED:
        return default
    if not isinstance(value, kind):
        # The value itself is not shown: env holds secrets.
        raise SettingsError(f"the host's session has a {name} of the type {type(value).__name__}")
    return value


def _strings(env: Mapping[Any, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in env.items()}


def _path(environment: Mapping[str, str], name: str, meaning: str) -> Path:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set; it is {meaning}")
    return Path(value)


def _agent(environment: Mapping[str, str]) -> str:
    try:
        return wire.check_name(environment.get("HYPERHIVE_AGENT", ""))
    except wire.WireError as error:
        raise SettingsError(f"HYPERHIVE_AGENT: {error}") from None


def _count(environment: Mapping[str, str], name: str) -> int | None:
    value = environment.get(name, "")
    if not value:
        return None
    if not (value.isascii() and value.isdecimal()):
        raise SettingsError(f"{name} is {value!r}; it is a whole number, 0 or above")
    return int(value)


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    value = environment.get(name, "")
    if not value:
        return default
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 3_600:
        raise SettingsError(f"{name} is {value!r}; it is a number of seconds above 0 and under 3600")
    return seconds
