"""The wire between a harness and its host: JSON lines, their limits, and the values that cross.

One JSON object a line, one reply a line, UTF-8, over a unix stream socket. The host imports this module too, so every
limit is said here once. Requests on an agent's socket (``id`` is optional on each; with it, many may be open at once
and the reply repeats it):

    {"cmd":"send","to":"coder","body":"…","command_id":"…"?}    → {"ok":true,"message_id":7}
    {"cmd":"recv","wait_seconds":30,"holding":[5]}              → {"ok":true,"messages":[…]}
    {"cmd":"ack","ids":[7]}                                     → {"ok":true,"acked":[7]}
    {"cmd":"recent","limit":20}                                 → {"ok":true,"messages":[…]}
    {"cmd":"report","event":{"kind":"turn_started",…},"generation":3?,"command_id":"…"?}  → {"ok":true,"dropped":true?}
    {"cmd":"stream","run":"…","first":0,"events":[…]}           → {"ok":true,"next":2}
    {"cmd":"session"}                                           → {"ok":true,"agent":"coder","role":"agent",…}

An error is ``{"ok":false,"error":"…","code":"invalid|not_found|conflict|forbidden|too_large"}``.

``holding`` names the messages that the running turn already has and will acknowledge when it ends. Whatever else is not
acknowledged comes (again): who holds nothing, because it has just been started after a crash, gets everything back.

``generation`` is the container's that a harness runs in (``HYPERHIVE_GENERATION``). A report of an older one than the
agent has now comes too late: it is dropped, and the reply says so. What it would have acknowledged comes again.

A stream's events are ``{"at":…,"type":…,"data":{…}}``, numbered from 0 in each ``run``. ``dropped`` takes the last
number of a loss and names it all (``count``, ``first``, ``last``): a batch begins past the host's ``next`` only with
that in front. ``truncated`` stands for one event that no line can carry (its ``type``, ``bytes`` and the ``reason``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import attrs

MAX_LINE_BYTES = 1_048_576
"""One line, newline included, in either direction."""
MAX_NESTING = 64
"""Objects and arrays inside each other; a line itself is depth 1."""
MAX_BODY_BYTES = 65_536
"""A message's body in UTF-8. Escaped at its worst (six bytes for one) a body still fits a line."""
WAIT_DEFAULT_SECONDS = 30.0
WAIT_MAX_SECONDS = 180.0
"""A long poll's default and its cap; the host enforces both."""
BATCH_MAX_MESSAGES = 50
BATCH_MAX_BYTES = 131_072
"""The mail that one recv hands over: bodies in UTF-8, added up (the first message always goes)."""
RECENT_MAX_MESSAGES = 200

RESERVED_NAMES = frozenset({"manager", "operator", "system"})
MANAGER = "manager"
OPERATOR = "operator"
SYSTEM = "system"

Code = Literal["invalid", "not_found", "conflict", "forbidden", "too_large", "unavailable"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")


class WireError(Exception):
    """A line or a value that the wire refuses; its text says what would be right."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


@attrs.frozen(kw_only=True)
class Mail:
    """One message as an inbox shows it; ``at`` is RFC 3339 UTC, ``sender`` is ``from`` on the wire."""

    id: int
    at: str
    sender: str
    body: str
    redelivered: bool = False

    @classmethod
    def from_wire(cls, raw: Mapping[str, Any]) -> Mail:
        """Read one element of a recv or recent reply."""
        return cls(
            id=raw["id"],
            at=raw["at"],
            sender=raw["from"],
            body=raw["body"],
            redelivered=raw.get("redelivered", False),
        )

    def to_wire(self) -> dict[str, Any]:
        """Write it as a recv reply carries it."""
        return {
            "id": self.id,
            "at": self.at,
            "from": self.sender,
            "body": self.body,
            "redelivered": self.redelivered,
        }


def is_name(text: object) -> bool:
    """Whether this is an agent's name: ``[a-z0-9][a-z0-9-]{0,59}`` whole, so that ``h-<name>`` is a host name."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def check_name(text: object) -> str:
    """Return the name, or raise `WireError` that says what a name looks like."""
    if not is_name(text):
        shown = text if isinstance(text, str) and len(text) <= 80 else f"{str(text)[:77]}…"
        raise WireError(
            "invalid",
            f"{shown!r} is not an agent's name; a name is 1 to 60 of a-z, 0-9 and -, and does not begin with -",
        )
    return str(text)


def encode(value: Mapping[str, Any]) -> bytes:
    """Write one line, newline included.

    Raises `WireError` ``too_large`` where the other side would refuse the line.
    """
    line = _ENCODER.encode(value).encode() + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise WireError("too_large", f"a line of {len(line)} bytes; at most {MAX_LINE_BYTES} are allowed")
    return line


def decode(line: bytes) -> dict[str, Any]:
    """Read one line, with or without its newline.

    Raises `WireError`: not UTF-8, not JSON, not an object, a key given twice, NaN or Infinity, deeper than
    `MAX_NESTING`, longer than `MAX_LINE_BYTES`, half of a surrogate pair (which no UTF-8 can carry on).
    """
    if len(line) > MAX_LINE_BYTES:
        raise WireError("too_large", f"a line of over {MAX_LINE_BYTES} bytes")
    deep = _is_deep(line)
    try:
        # From text: given bytes, json guesses at UTF-16 and lets halves of surrogate pairs through.
        value = _parsed(line.decode())
    except WireError:
        raise
    except UnicodeDecodeError as error:
        raise WireError("invalid", f"the line is not UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise WireError("invalid", f"the line is not JSON: {error}") from None
    except RecursionError:
        deep = True
    if deep:
        raise WireError("invalid", f"the line nests deeper than {MAX_NESTING}")
    if b"\\ud" in line or b"\\uD" in line:
        _check_surrogates(value)
    if not isinstance(value, dict):
        raise WireError("invalid", f'a line is one JSON object, such as {{"cmd":"recv"}}, not {_kind(value)}')
    return value


def _parsed(text: str) -> Any:
    """Parse JSON, at once where nothing stands around it but the newline."""
    try:
        value, end = _DECODER.scan_once(text, 0)  # type: ignore[attr-defined] # which `decode` ends up in, too
        if end == len(text) or text[end:] == "\n":
            return value
    except StopIteration:
        pass
    return _DECODER.decode(text)  # says what is wrong, and where


def _is_deep(line: bytes) -> bool:
    """Whether a line that is JSON nests too deep; of any other nothing is said."""
    # Brackets inside strings only overcount, so most lines need no second look.
    if line.count(b"{") + line.count(b"[") <= MAX_NESTING:
        return False
    # A string is taken to its quote or to the end of the line, and possessively: one that is not closed would otherwise
    # be scanned again from each quote in it, and a line of quotes would take hours.
    brackets = re.sub(rb'"(?:[^"\\]++|\\.?)*+"?', b"", line, flags=re.DOTALL).translate(_AS_ROUND, _NO_BRACKETS)
    for _ in range(MAX_NESTING):
        brackets = brackets.replace(b"()", b"")  # the innermost of all, one level a round
    return bool(brackets)


_AS_ROUND = bytes.maketrans(b"[{]}", b"(())")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _check_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise WireError("invalid", "the line has half of a surrogate pair, which is not a character") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise WireError("invalid", f"the key {twice[:80]!r} stands twice in one object")
    return value


def _no_constant(name: str) -> None:
    raise WireError("invalid", f"{name} is not JSON; a number is finite")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise WireError("invalid", f"{digits[:80]} is too large for a number")
    return number


# Made once: with such options `json.loads` and `json.dumps` make new ones for every line.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant, parse_float=_finite)


def _kind(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
