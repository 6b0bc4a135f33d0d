"""The wire: what crosses a socket, and what each side refuses."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import wire

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def nested(depth: int, opening: bytes = b'{"a":', closing: bytes = b"}") -> bytes:
    """Return a line with so many objects or arrays inside each other; the line itself is the first."""
    return b'{"a":' + opening * (depth - 1) + b"1" + closing * (depth - 1) + b"}"


def refusal(line: bytes) -> wire.WireError:
    """Return the error with which a line is refused."""
    with pytest.raises(wire.WireError) as refused:
        wire.decode(line)
    return refused.value


def attempt(line: bytes) -> dict[str, Any] | wire.WireError:
    """Return the object in a line, or the error with which it is refused."""
    try:
        return wire.decode(line)
    except wire.WireError as error:
        return error


class TestLines:
    """One JSON object a line."""

    @given(value=st.dictionaries(texts, values, max_size=5))
    def test_round_trip(self, value: dict[str, Any]) -> None:
        """Whatever JSON can say is the same on the other side, and takes one line."""
        line = wire.encode(value)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert wire.decode(line) == value
        assert wire.decode(line[:-1]) == value

    def test_readable(self) -> None:
        """Lines are UTF-8 without needless spaces or escapes."""
        assert wire.encode({"body": "grüß 🐝", "to": "coder"}) == '{"body":"grüß 🐝","to":"coder"}\n'.encode()

    def test_longest_line(self) -> None:
        """A line may have just as many bytes as the limit says, newline included, on both sides."""
        frame = len(wire.encode({"b": ""}))
        longest = wire.encode({"b": "x" * (wire.MAX_LINE_BYTES - frame)})
        assert len(longest) == wire.MAX_LINE_BYTES
        assert len(wire.decode(longest)["b"]) == wire.MAX_LINE_BYTES - frame
        with pytest.raises(wire.WireError, match=f"{wire.MAX_LINE_BYTES + 1} bytes; at most") as refused:
            wire.encode({"b": "x" * (wire.MAX_LINE_BYTES - frame + 1)})
        assert refused.value.code == "too_large"
        assert refusal(longest[:-1] + b"  ").code == "too_large"

    @pytest.mark.parametrize("letter", ["x", "é", "🐝", '"', "\0", "\x1f", "\u2028"])
    def test_every_body_fits(self, letter: str) -> None:
        """The largest body fits a line, however much of it must be escaped."""
        body = letter * (wire.MAX_BODY_BYTES // len(letter.encode()))
        assert wire.decode(wire.encode({"cmd": "send", "to": "a" * 60, "body": body}))["body"] == body

    def test_every_batch_fits(self) -> None:
        """So does the largest batch of mail, escaped at its worst."""
        size = wire.BATCH_MAX_BYTES // wire.BATCH_MAX_MESSAGES
        mail = [
            wire.Mail(id=2**53, at="2026-01-01T00:00:00.000000Z", sender="a" * 60, body="\0" * size).to_wire()
            for _ in range(wire.BATCH_MAX_MESSAGES)
        ]
        wire.encode({"ok": True, "messages": mail, "id": "x" * 128})
        first = wire.Mail(id=1, at="", sender="a", body="\0" * wire.MAX_BODY_BYTES)
        wire.encode({"ok": True, "messages": [first.to_wire(), first.to_wire()]})


class TestRefusedLines:
    """Rubbish, each with an error that says what is wrong."""

    @pytest.mark.parametrize(
        ("line", "complaint"),
        [
            (b"", "not JSON"),
            (b"\n", "not JSON"),
            (b"hello", "not JSON"),
            (b'{"cmd":"recv"', "not JSON"),
            (b'{"cmd":"recv"} {}', "not JSON"),
            (b"{'cmd':'recv'}", "not JSON"),
            (b'{"cmd":01}', "not JSON"),
            (b'{"cmd":"a\nb"}', "not JSON"),
            (b'\xef\xbb\xbf{"cmd":"recv"}', "not JSON"),
            (b"[1]", "one JSON object.*not an array"),
            (b'"recv"', "one JSON object.*not a string"),
            (b"7", "one JSON object.*not a number"),
            (b"7.5", "one JSON object.*not a number"),
            (b"true", "one JSON object.*not a boolean"),
            (b"null", "one JSON object.*not null"),
            (b'{"a":NaN}', "NaN is not JSON; a number is finite"),
            (b'{"a":Infinity}', "Infinity is not JSON; a number is finite"),
            (b'{"a":[-Infinity]}', "-Infinity is not JSON"),
            (b'{"a":1e999}', "1e999 is too large for a number"),
            (b'{"a":-1e999}', "-1e999 is too large for a number"),
            (b'{"a":1,"a":1}', "the key 'a' stands twice"),
            (b'{"x":{"b":1,"c":2,"b":3}}', "the key 'b' stands twice"),
            (b'{"a":1,"\\u0061":2}', "the key 'a' stands twice"),
            (b'{"a":"\xff"}', "not UTF-8"),
            (b'{"a":"\xed\xa0\xbd"}', "not UTF-8"),
            (b'{"a":"\xc0\x80"}', "not UTF-8"),
            ('{"cmd":"recv"}'.encode("utf-16"), "not UTF-8"),
            ('{"cmd":"recv"}'.encode("utf-16-le"), "not JSON"),
            ('{"cmd":"recv"}'.encode("utf-32"), "not UTF-8"),
            (b'{"a":"\\ud83d"}', "half of a surrogate pair"),
            (b'{"a":"\\uDC1D x"}', "half of a surrogate pair"),
            (b'{"\\ud83d":1}', "half of a surrogate pair"),
            (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
        ],
    )
    def test_rubbish(self, line: bytes, complaint: str) -> None:
        """What is not one object of plain JSON is refused as invalid."""
        error = refusal(line)
        assert error.code == "invalid"
        assert re.search(complaint, str(error))
        assert len(str(error)) < 400

    def test_whole_surrogate_pairs(self) -> None:
        """An escaped pair is one character, and no reason to refuse; so is an escaped backslash before a u."""
        assert wire.decode(b'{"a":"\\ud83d\\udc1d","b":"\\\\ud83d"}') == {"a": "🐝", "b": "\\ud83d"}

    @pytest.mark.parametrize(("opening", "closing"), [(b'{"a":', b"}"), (b"[", b"]"), (b'[{"a":', b"}]")])
    def test_nesting(self, opening: bytes, closing: bytes) -> None:
        """A line nests as deep as the limit says, and no deeper."""
        inner = len(opening.strip(b'"a:'))
        deepest = (wire.MAX_NESTING - 1) // inner
        wire.decode(nested(deepest + 1, opening, closing))
        assert "nests deeper than 64" in str(refusal(nested(deepest + 2, opening, closing)))

    def test_nesting_of_a_whole_line(self) -> None:
        """A line full of brackets is refused before anything climbs down into it."""
        for opening in (b"[", b'{"a":'):
            assert "nests deeper" in str(refusal(opening * (wire.MAX_LINE_BYTES // len(opening) - 1)))

    def test_wide_is_not_deep(self) -> None:
        """Many objects beside each other, and brackets inside strings, are no nesting."""
        line = json.dumps({"a": [{"b": []}] * 1_000, "c": "[{" * 1_000, "d": '\\"[' * 100}).encode()
        assert len(wire.decode(line)["a"]) == 1_000

    @given(line=st.binary(max_size=200))
    def test_any_bytes(self, line: bytes) -> None:
        """Whatever comes is an object or a `WireError`, never another error."""
        decoded = attempt(line)
        assert isinstance(decoded, dict) or decoded.code == "invalid"

    @given(line=st.text('{}[]",:\\u0123456789deE+-.NaInfity \n', max_size=80))
    def test_almost_json(self, line: str) -> None:
        """So it is for what is nearly JSON."""
        decoded = attempt(line.encode())
        if isinstance(decoded, dict):
            assert wire.decode(wire.encode(decoded)) == decoded
        else:
            assert decoded.code == "invalid"

    def test_what_cannot_be_written(self) -> None:
        """Neither side writes what the other would refuse."""
        with pytest.raises(ValueError, match="JSON compliant"):
            wire.encode({"a": float("nan")})
        with pytest.raises(UnicodeEncodeError):
            wire.encode({"a": "\ud83d"})


class TestNames:
    """Agents' names."""

    @pytest.mark.parametrize("name", ["a", "0", "coder", "a-b", "a-", "0-0", "a" * 60])
    def test_good(self, name: str) -> None:
        """A name is 1 to 60 of a-z, 0-9 and -, and does not begin with -."""
        assert wire.is_name(name)
        assert wire.check_name(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "-",
            "-a",
            "A",
            "a_b",
            "a.b",
            "a b",
            " a",
            "a\n",
            "a\0",
            "ä",
            "é",
            "x/y",
            "..",
            "a" * 61,
            "\uff11",
            None,
            7,
            b"a",
        ],
        ids=repr,
    )
    def test_bad(self, name: object) -> None:
        """Anything else is none, and the error says what one looks like."""
        assert not wire.is_name(name)
        with pytest.raises(
            wire.WireError, match="is not an agent's name; a name is 1 to 60 of a-z, 0-9 and -"
        ) as refused:
            wire.check_name(name)
        assert refused.value.code == "invalid"

    def test_long_names_are_not_repeated(self) -> None:
        """An error does not carry a name of a megabyte."""
        for name in ("x" * 1_000_000, b"x" * 1_000_000):
            with pytest.raises(wire.WireError) as refused:
                wire.check_name(name)
            assert len(str(refused.value)) < 250

    def test_reserved_names_are_names(self) -> None:
        """The hive's own names look like any other; who may bear them is decided elsewhere."""
        assert all(wire.is_name(name) for name in wire.RESERVED_NAMES)
        assert {wire.MANAGER, wire.OPERATOR, wire.SYSTEM} == wire.RESERVED_NAMES

    @given(name=st.from_regex(r"[a-z0-9][a-z0-9-]{0,59}", fullmatch=True))
    def test_host_name(self, name: str) -> None:
        """With the prefix of a container every name is a host name of at most 63 characters (RFC 1123)."""
        assert wire.is_name(name)
        assert len(f"h-{name}") <= 63


class TestMail:
    """A message as it crosses."""

    @given(body=texts, redelivered=st.booleans())
    def test_round_trip(self, body: str, redelivered: bool) -> None:
        """A message is the same on the other side."""
        mail = wire.Mail(id=7, at="2026-01-01T00:00:00.000000Z", sender="coder", body=body, redelivered=redelivered)
        assert wire.Mail.from_wire(wire.decode(wire.encode(mail.to_wire()))) == mail

    def test_on_the_wire(self) -> None:
        """It looks as the contract says."""
        mail = wire.Mail(id=7, at="…", sender="operator", body="hi")
        assert mail.to_wire() == {"id": 7, "at": "…", "from": "operator", "body": "hi", "redelivered": False}

    def test_recent(self) -> None:
        """What an inbox shows need not say whether it was redelivered."""
        raw = {"id": 7, "at": "…", "from": "operator", "body": "hi", "later": "field"}
        assert not wire.Mail.from_wire(raw).redelivered


class TestLimits:
    """Numbers that the contract names."""

    def test_contract(self) -> None:
        """They are what programs outside rely on."""
        assert wire.MAX_LINE_BYTES == 1 << 20
        assert wire.MAX_NESTING == 64
        assert (wire.WAIT_DEFAULT_SECONDS, wire.WAIT_MAX_SECONDS) == (30, 180)
        assert {"manager", "operator", "system"} == wire.RESERVED_NAMES
