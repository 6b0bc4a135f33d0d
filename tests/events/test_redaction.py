"""What a redacted export leaves out: written here a second time, by hand."""

from __future__ import annotations

import enum
import typing
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.events import codec
from hyperhive.events.configurations import AgentSettings
from hyperhive.events.redaction import KEPT, NAMES, REDACTED, redact
from tests.events.test_codec import facts_of

REMOVED = {
    "MessageSent": "body",
    "QuestionAsked": "question options",
    "QuestionAnswered": "question answer",
    "QuestionExpired": "question",
    "QuestionCancelled": "question",
    "QuestionAnsweredLate": "question answer",
    "SpawnFailed": "error",
    "StartFailed": "error",
    "KillFailed": "error",
    "RestartFailed": "error",
    "RebuildFailed": "error",
    "DestroyFailed": "error",
    "ContainerReaped": "reason",
    "EgressBlocked": "host",
    "TurnEnded": "error",
    "StatusChanged": "text",
    "LoginNeeded": "detail",
    "ToolServersFailed": "errors",
    "ApprovalRequested": "note blocked",
    "ApprovalGranted": "note",
    "ApprovalDenied": "note",
    "ApprovalFailed": "error",
    "ConfigurationApplied": "settings",
    "ConfigurationReverted": "settings",
    "HarnessReported": "detail",
    "OperatorAdded": "key_hash",
    "SlashCommandGiven": "text",
}
"""By type: the fields whose text goes. A new fact with a text stands here, or in `redaction.KEPT`."""


def holds_text(annotation: Any) -> bool:
    """Whether a field of this type can hold text."""
    if isinstance(annotation, type) and (attrs.has(annotation) or issubclass(annotation, enum.Enum)):
        return True
    if annotation is str or typing.get_origin(annotation) in (dict, typing.Literal):
        return True
    return any(holds_text(part) for part in typing.get_args(annotation) if isinstance(part, type) or part)


def test_table() -> None:
    """Every field that can hold text is either listed as kept or goes."""
    found = {}
    for name, cls in codec.TYPES.items():
        hints = typing.get_type_hints(cls)
        texts = [field.name for field in attrs.fields(cls) if holds_text(hints[field.name])]
        gone = [text for text in texts if text not in NAMES | KEPT.get(name, frozenset())]
        if gone:
            found[name] = " ".join(sorted(gone))
    assert found == {name: " ".join(sorted(fields.split())) for name, fields in REMOVED.items()}


def test_kept_is_there() -> None:
    """What is listed as kept is a field of its type."""
    for name, kept in KEPT.items():
        assert kept <= {field.name for field in attrs.fields(codec.TYPES[name])}


@given(fact=st.sampled_from(list(codec.TYPES.values())).flatmap(facts_of))
def test_any_fact(fact: Any) -> None:
    """A redacted fact is one of the same type: numbers and lengths stay, and of the removed texts nothing does."""
    name = type(fact).__name__
    redacted = codec.decode(name, redact(name, codec.encode(fact)))
    assert type(redacted) is type(fact)
    for field in attrs.fields(type(fact)):
        before, after = getattr(fact, field.name), getattr(redacted, field.name)
        if field.name not in REMOVED.get(name, "").split():
            assert after == before
        elif isinstance(before, tuple):
            assert after == (REDACTED,) * len(before)
        elif before is not None:
            assert after in (REDACTED, {}, AgentSettings())


def test_unknown_type() -> None:
    """Of a type that this release does not know every text goes, but for the names of agents."""
    redacted = redact("OfTomorrow", b'{"agent":"coder","secret":"x","n":[1,"y",{"z":true}],"ok":false}')
    assert redacted == b'{"agent":"coder","secret":"[redacted]","n":[1,"[redacted]",{}],"ok":false}'
