"""The codec: what is written can be read, and what cannot be read says so."""

from __future__ import annotations

import enum
import typing
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.events import codec
from hyperhive.events.agents import ContainerCrashed, RestartRequested
from hyperhive.events.messages import MessagesAcknowledged, MessageSent
from hyperhive.events.turns import HarnessReported, StatusChanged, TurnEnded

texts = st.text(st.characters(exclude_categories=["Cs"]))
integers = st.integers(-(2**63), 2**63 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def values_of(annotation: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one for each kind of annotation
    """Return the values that a field of this type may have in the log."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        low, high = arguments[1].ge, arguments[1].le
        return st.integers(low, high) if arguments[0] is int else st.floats(low, high)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        if arguments[1:] == (...,):
            return st.lists(values_of(arguments[0]), max_size=4).map(tuple)
        return st.tuples(*map(values_of, arguments))
    if origin is dict:
        return st.dictionaries(texts, json_values, max_size=4)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return st.sampled_from(annotation)
    if isinstance(annotation, type) and attrs.has(annotation):
        return facts_of(annotation)
    if arguments:  # a union with None
        return st.one_of([st.none() if part is type(None) else values_of(part) for part in arguments])
    return {str: texts, int: integers, bool: st.booleans(), float: st.floats(-1e9, 1e9)}[annotation]


def facts_of(cls: type) -> st.SearchStrategy[Any]:
    """Return facts of a class, with any values that its fields allow."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return st.builds(cls, **{field.name: values_of(hints[field.name]) for field in attrs.fields(cls)})


class TestRoundTrip:
    """From a fact to JSON and back."""

    @given(fact=st.sampled_from(list(codec.TYPES.values())).flatmap(facts_of))
    def test_any_fact(self, fact: Any) -> None:
        """Every fact of every type is read back equal, of the same class, from bytes as from text."""
        name, data = type(fact).__name__, codec.encode(fact)
        for written in (data, data.decode()):
            found = codec.decode(name, written)
            assert (type(found), found) == (type(fact), fact)

    @given(fact=st.sampled_from(list(codec.TYPES.values())).flatmap(facts_of))
    def test_stream(self, fact: Any) -> None:
        """Every fact names its stream as ``category-id``."""
        category, dash, _ = fact.stream.partition("-")
        assert dash
        assert category.isidentifier()
        assert category.islower()

    def test_one_line(self) -> None:
        """Data has no raw newline, so that the chain's newline before it separates it from the envelope."""
        assert b"\n" not in codec.encode(MessageSent(to="coder", sender="operator", body="a\nb"))

    def test_fields_of_a_newer_release(self) -> None:
        """A field that this release does not know does not stop it."""
        assert codec.decode("RestartRequested", '{"agent":"coder","why":"tired"}') == RestartRequested(agent="coder")

    def test_absent_field_has_its_default(self) -> None:
        """A field that an older release did not write has its default."""
        decoded = codec.decode("ContainerCrashed", '{"agent":"coder","generation":2}')
        assert decoded == ContainerCrashed(agent="coder", generation=2)


class TestRefusal:
    """What must not get in, and what cannot be read."""

    @pytest.mark.parametrize(
        "fact",
        [
            TurnEnded(agent="coder", ok=True, cost_usd=float("inf")),
            TurnEnded(agent="coder", ok=True, cost_usd=float("nan")),
            TurnEnded(agent="coder", ok=True, cost_usd=-1.0),
            TurnEnded(agent="coder", ok=True, input_tokens=2**63),
            TurnEnded(agent="coder", ok=True, input_tokens=2**70),
            TurnEnded(agent="coder", ok=True, output_tokens=-1),
            HarnessReported(agent="coder", kind="x", detail={"deep": [float("inf")]}),
            HarnessReported(agent="coder", kind="x", detail={"set": object()}),
            MessageSent(to="coder", sender="operator", body="half \ud83d"),
            MessageSent(to="coder", sender="operator", body=7),  # type: ignore[arg-type] # the point
            MessagesAcknowledged(to="coder", ids=[1]),  # type: ignore[arg-type] # the point
            StatusChanged(agent="coder", status="dancing"),  # type: ignore[arg-type] # the point
            object(),
        ],
        ids=lambda fact: type(fact).__name__,
    )
    def test_never_written(self, fact: Any) -> None:
        """A fact that would not be read back as it is cannot be written."""
        with pytest.raises(codec.BadData, match=f"a {type(fact).__name__} that the log cannot keep"):
            codec.encode(fact)

    def test_endless(self) -> None:
        """Neither can one that has no end."""
        endless: dict[str, Any] = {}
        endless["again"] = endless
        with pytest.raises(codec.BadData, match="a HarnessReported that the log cannot keep"):
            codec.encode(HarnessReported(agent="coder", kind="x", detail=endless))

    @pytest.mark.parametrize("name", ["AgentPromoted", "", "AgentFact", "Started", "Failed", "InboxFact", "object"])
    def test_unknown_type(self, name: str) -> None:
        """A type of a newer release, or a name that is no type of the log's, is named."""
        with pytest.raises(codec.UnknownType, match=f"of the type {name}") as unknown:
            codec.decode(name, "{}")
        assert unknown.value.type_name == name

    @pytest.mark.parametrize(
        ("data", "complaint"),
        [
            ("", "truncated"),
            ("{", "truncated"),
            ("[]", "object"),
            ("null", "object"),
            ('{"to":"coder","sender":"operator"}', "body"),
            ('{"to":"coder","sender":"operator","body":7}', r"Expected `str`, got `int` - at `\$.body`"),
            (b'{"to":"coder","sender":"operator","body":"\xff"}', "utf-8"),
        ],
    )
    def test_bad_data(self, data: str | bytes, complaint: str) -> None:
        """Data that does not have the shape of its type is refused with the field that is off."""
        with pytest.raises(codec.BadData, match=f"the data of a MessageSent does not fit: .*{complaint}"):
            codec.decode("MessageSent", data)


class TestUpcast:
    """Shapes of older releases."""

    def test_in_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An old shape goes from release to release until it is today's."""
        monkeypatch.setitem(
            codec.UPCASTERS, "MailWritten", lambda raw: ("MailSent", {"to": raw["to"], "text": raw["text"]})
        )
        monkeypatch.setitem(
            codec.UPCASTERS,
            "MailSent",
            lambda raw: ("MessageSent", {"to": raw["to"], "sender": "operator", "body": raw["text"]}),
        )
        expected = MessageSent(to="coder", sender="operator", body="hi")
        assert codec.decode("MailWritten", '{"to":"coder","text":"hi","mood":"good"}') == expected
        assert codec.decode("MailSent", '{"to":"coder","text":"hi"}') == expected

    def test_of_bad_data(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An old fact that does not fit its upcaster's result is bad data, too."""
        monkeypatch.setitem(codec.UPCASTERS, "MailSent", lambda raw: ("MessageSent", raw))
        with pytest.raises(codec.BadData, match="the data of a MailSent does not fit"):
            codec.decode("MailSent", "{}")

    def test_to_nowhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An upcaster that leads to no type of today is named for what is missing."""
        monkeypatch.setitem(codec.UPCASTERS, "MailSent", lambda raw: ("Letter", raw))
        with pytest.raises(codec.UnknownType, match="of the type Letter"):
            codec.decode("MailSent", "{}")

    def test_names_are_not_reused(self) -> None:
        """The name of an older shape is never a type of today, which would hide its upcaster."""
        assert not codec.UPCASTERS.keys() & codec.TYPES.keys()
