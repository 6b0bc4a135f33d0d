"""Facts to JSON and back: one decoder per type, upcasters for shapes of older releases.

``type`` in the log names the class. A shape that changes gets a new type name and an entry in `UPCASTERS`; the old name
is never used again, and golden logs of every release keep it so.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import attrs
import msgspec

from hyperhive.events import agents, approvals, configurations, egress, hive, messages, operators, questions, turns

_ABSTRACT = {
    agents.AgentFact,
    agents.Started,
    agents.Failed,
    messages.InboxFact,
    questions.QuestionFact,
    turns.TurnFact,
    hive.HiveFact,
    approvals.ApprovalFact,
    configurations.ConfigurationFact,
    configurations.AgentSettings,
    configurations.McpServer,
    operators.OperatorFact,
}

TYPES: dict[str, type] = {
    cls.__name__: cls
    for module in (hive, agents, messages, turns, questions, approvals, configurations, operators, egress)
    for cls in vars(module).values()
    if isinstance(cls, type) and attrs.has(cls) and cls not in _ABSTRACT
}
"""Every event class by the name that the log keeps."""

Upcaster = Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]

UPCASTERS: dict[str, Upcaster] = {}
"""By the type name of an older release: what it is called and looks like now (or in the next step towards now)."""


class UnknownType(Exception):  # noqa: N818 - named for what it is about, as the rest of this room
    """A type that this release cannot read."""

    def __init__(self, type_name: str) -> None:
        super().__init__(f"an event of the type {type_name}, which this release does not know")
        self.type_name = type_name


class BadData(Exception):  # noqa: N818
    """Data that does not have the shape of its type."""


_encode = msgspec.json.Encoder().encode


class _Decoders(dict[str, Callable[[str | bytes], Any]]):
    """How the data of each type is read; a type of another release is upcast, or raises `UnknownType`."""

    def __missing__(self, type_name: str) -> Callable[[str | bytes], Any]:
        return functools.partial(_upcast, type_name)


DECODERS = _Decoders({name: msgspec.json.Decoder(cls).decode for name, cls in TYPES.items()})
"""By type, for who decodes many: they raise `UNREADABLE`."""
UNREADABLE = (UnknownType, BadData, msgspec.MsgspecError, UnicodeDecodeError)


def encode(event: Any) -> bytes:
    """Write a fact's data as JSON.

    Raises `BadData` for a fact that could not be read again as it is: an infinite number, a value of a wrong type. What
    is once in the log stays there, so it is read back here (in less than 1 µs) and not at the next start.
    """
    type_name = type(event).__name__
    try:
        data = _encode(event)
        if DECODERS[type_name](data) == event:
            return data
    except (UnknownType, ValueError, OverflowError, TypeError, RecursionError) as error:
        raise BadData(f"a {type_name} that the log cannot keep: {error!r}") from error
    raise BadData(f"a {type_name} that the log cannot keep: it would be read as another one")


def decode(type_name: str, data: str | bytes) -> Any:
    """Read a fact's data.

    Raises `UnknownType` for a type of a newer release, `BadData` where the data does not fit its type.
    """
    try:
        return DECODERS[type_name](data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise misfit(type_name, error) from error


def misfit(type_name: str, error: Exception) -> BadData:
    """Say in this room's words what a decoder raised."""
    return error if isinstance(error, BadData) else BadData(f"the data of a {type_name} does not fit: {error}")


def _upcast(type_name: str, data: str | bytes) -> Any:
    raw = msgspec.json.decode(data, type=dict[str, Any]) if type_name in UPCASTERS else {}
    while (upcaster := UPCASTERS.get(type_name)) is not None:
        type_name, raw = upcaster(raw)
    cls = TYPES.get(type_name)
    if cls is None:
        raise UnknownType(type_name)
    return msgspec.convert(raw, cls)
