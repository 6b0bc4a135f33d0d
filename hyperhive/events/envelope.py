"""The envelope of a fact: who, when, in which stream, and because of what."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

import attrs
import msgspec


class Role(enum.StrEnum):
    """What an actor may be; authorization looks at nothing else of it."""

    OPERATOR = "operator"
    MANAGER = "manager"
    AGENT = "agent"
    DAEMON = "daemon"
    VIEWER = "viewer"
    """A person who reads only: no command is for this role."""


@attrs.frozen
class Actor:
    """Whoever a command came from: known from the socket or session it arrived on, never from its payload."""

    role: Role
    name: str
    """The agent's name, or the operator's as a person; equal to the role where there is only one."""
    agent: str | None = attrs.field(init=False, eq=False, repr=False)
    """The agent that this actor is, or None for people and the daemon."""
    _text: str = attrs.field(init=False, eq=False, repr=False)

    @agent.default
    def _agent(self) -> str | None:
        return self.name if self.role in (Role.AGENT, Role.MANAGER) else None

    @_text.default
    def _shown(self) -> str:
        return self.role.value if self.name == self.role.value else f"{self.role.value}:{self.name}"

    def __str__(self) -> str:
        """Show it as the log keeps it: ``operator``, ``operator:anna``, ``manager``, ``agent:coder``, ``daemon``."""
        return self._text


OPERATOR = Actor(Role.OPERATOR, "operator")
MANAGER = Actor(Role.MANAGER, "manager")
DAEMON = Actor(Role.DAEMON, "daemon")


def actor_of_agent(name: str) -> Actor:
    """Return the actor that the owner of this agent's socket is."""
    return MANAGER if name == MANAGER.name else Actor(Role.AGENT, name)


class Fact(Protocol):
    """An event class: frozen attrs, past tense, and it knows its stream."""

    @property
    def stream(self) -> str:
        """``category-id``, such as ``agent-coder``."""


class Cause(NamedTuple):
    """The fact that led to a command; both numbers are positions in the log."""

    causation: int
    """The fact that directly led here."""
    correlation: int
    """The first fact of the whole chain."""


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """A fact in its envelope, as the log keeps it.

    A struct and no attrs class: a replay makes millions, and a struct is made in a fifth of the time. Nothing in it
    refers back to it, so that there is nothing in it for the garbage collector.
    """

    position: int
    """Global, dense, from 1."""
    stream: str
    version: int
    """In its stream, dense, from 1."""
    type: str
    at: int
    """Microseconds since 1970 UTC."""
    actor: str
    correlation: int
    """The position of the first fact of the chain that this one belongs to; its own where it begins one."""
    causation: int | None
    """The position of the fact that directly led to this one."""
    event: Any

    @property
    def envelope(self) -> tuple[object, ...]:
        """All but the event, as the hash covers it."""
        return msgspec.structs.astuple(self)[:-1]

    @property
    def cause(self) -> Cause:
        """What a command says that this fact leads to."""
        return Cause(self.position, self.correlation)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(at: int) -> str:
    """Show microseconds since 1970 as RFC 3339 UTC, microseconds included."""
    return (_EPOCH + timedelta(microseconds=at)).isoformat(timespec="microseconds").replace("+00:00", "Z")
