"""The file of a capsule: JSON Lines, one part a line, and a last line which proves that nothing is missing.

    {"hyperhive":"capsule","format":1,"release":"0.1.0","hive":"…","agent":"coder","around":812,"at":"…","redacted":false}
    {"kind":"before","value":{…}}
    …
    {"count":401,"sha256":"…"}

The facts are the lines of an export (`events.exchange`), each as a text of its own, so that hashes stay what they were.
Whoever opens one has it from a stranger: everything is bounded, typed, and nothing in it is believed but its own sum.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Annotated, Any, BinaryIO, Literal

import attrs
import msgspec

from hyperhive.events import exchange

FORMAT = 1
LARGEST = 64 * 1024 * 1024
_LONGEST_LINE = 2 * exchange.LONGEST_LINE
"""A line of an export inside of one more JSON string."""
_MOST_PARTS = 200_000

_encode = msgspec.json.Encoder().encode
_Text = Annotated[str, msgspec.Meta(max_length=200)]


class BadCapsule(Exception):  # noqa: N818
    """A file that is no capsule, or not a whole one; the text names the line."""

    code = "failed"

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line: what it is about."""

    hyperhive: Literal["capsule"] = "capsule"
    format: int = FORMAT
    release: _Text
    hive: _Text
    agent: _Text
    around: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    at: _Text
    """When the event happened, RFC 3339."""
    redacted: bool
    """Whether what people and agents said is left out."""


class Moment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hive as it stood after a position; without a state, why it cannot be had."""

    position: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    state: dict[str, Any] | None
    missing: str | None = None


class Turn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event of the agent's turn stream."""

    run: str
    number: int
    at: str
    type: str
    data: Any


class LeftOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What did not fit, or is not there."""

    what: str
    why: str


Part = Moment | Turn | LeftOut | str | dict[str, Any]

KINDS: dict[str, type | Any] = {
    "versions": dict[str, Any],
    "configuration": dict[str, Any],
    "before": Moment,
    "after": Moment,
    "export": str,
    "turn": Turn,
    "output": str,
    "left_out": LeftOut,
}
"""What a line may hold, by its kind."""


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str
    value: msgspec.Raw


class _Footer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    count: int
    sha256: str


@attrs.frozen(kw_only=True)
class Capsule:
    """A capsule that is whole."""

    header: Header
    parts: dict[str, list[Any]]
    """By kind, in the order of the file."""
    facts: list[exchange.Row]
    """Of its export, whose chain holds in itself."""


def write(write_line: Callable[[bytes], object], header: Header, parts: Iterable[tuple[str, Part]]) -> int:
    """Write a capsule; return how many parts it has."""
    digest = sha256()
    count = 0

    def put(value: object) -> None:
        line = _encode(value) + b"\n"
        digest.update(line)
        write_line(line)

    put(header)
    for kind, value in parts:
        put({"kind": kind, "value": value})
        count += 1
    write_line(_encode(_Footer(count=count, sha256=digest.hexdigest())) + b"\n")
    return count


def read(opened: BinaryIO) -> Capsule:
    """Read a capsule wholly. Raises `BadCapsule`."""
    lines = _lines(opened)
    header = _header(lines)
    digest = sha256()
    for line in lines[:-1]:
        digest.update(line)
    if lines[-1] != _encode(_Footer(count=len(lines) - 2, sha256=digest.hexdigest())) + b"\n":
        raise BadCapsule(len(lines), "the last line does not fit what was read: the file was cut off or changed")
    parts: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for number, line in enumerate(lines[1:-1], start=2):
        kind, value = _part(number, line)
        parts[kind].append(value)
    return Capsule(header=header, parts=parts, facts=_facts(parts["export"]))


def _lines(opened: BinaryIO) -> list[bytes]:
    content = opened.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise BadCapsule(1, f"the file is larger than any capsule ({LARGEST} bytes)")
    lines = content.splitlines(keepends=True) if content.count(b"\n") <= _MOST_PARTS else []
    if not lines or b"\r" in content:  # JSON has none but in escapes, and splitlines would take it for an end
        raise BadCapsule(1, "it is not a capsule (hyperhive replay capsule makes one)")
    return lines


def _header(lines: list[bytes]) -> Header:
    try:
        found = msgspec.json.decode(lines[0])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("hyperhive") != "capsule" or len(lines) < 2:
        raise BadCapsule(1, "it is not a capsule (hyperhive replay capsule makes one)")
    if found.get("format") != FORMAT:
        raise BadCapsule(1, f"the capsule is of a newer release, and this one reads format {FORMAT}: upgrade hyperhive")
    try:
        return msgspec.convert(found, Header)
    except msgspec.MsgspecError as error:
        raise BadCapsule(1, f"it does not say what it is about: {error}") from None


def _part(number: int, line: bytes) -> tuple[str, Any]:
    if len(line) > _LONGEST_LINE:
        raise BadCapsule(number, "it is longer than any part")
    try:
        found = msgspec.json.decode(line, type=_Line)
        if found.kind not in KINDS:
            raise BadCapsule(number, f"a part of the kind {found.kind[:40]!r}, which this release does not know")
        return found.kind, msgspec.json.decode(found.value, type=KINDS[found.kind])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadCapsule(number, f"it is no part of a capsule: {error}") from None


def _facts(lines: list[str]) -> list[exchange.Row]:
    try:
        reading = exchange.Reading(io.BytesIO("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")))
        return list(reading.rows())
    except exchange.BadExport as error:
        raise BadCapsule(1, f"its facts are not whole: in their export, {error}") from None
