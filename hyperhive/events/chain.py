"""The hash chain: each fact's hash covers its envelope, its data and the hash before it."""

from __future__ import annotations

import sqlite3
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import msgspec

GENESIS = bytes(32)
"""What stands in the place of a hash before the first fact."""

_canonical = msgspec.json.Encoder().encode


def link(previous: bytes, envelope: tuple[object, ...], data: bytes) -> bytes:
    """Return the hash of a fact.

    ``envelope`` is position, stream, version, type, at, actor, correlation, causation; as a JSON array it has no raw
    newline, so that the newline before ``data`` separates the two without ambiguity.
    """
    return sha256(b"%b%b\n%b" % (previous, _canonical(envelope), data)).digest()


@attrs.frozen(kw_only=True)
class Verified:
    """A chain that holds: how many facts, and the hash of the last."""

    count: int
    head: bytes


class ChainBroken(Exception):  # noqa: N818
    """The first position at which the log is not what was written."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"the log is broken at position {position}: {reason}; what is before {position} is whole")
        self.position = position
        self.reason = reason


def verify(path: Path) -> Verified:
    """Walk the whole chain of a log's file, read-only; a daemon may be running.

    Raises `ChainBroken` with the first bad position, for a changed, missing or added fact as for a damaged page.
    """
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    connection.text_factory = bytearray  # so that a text which has become a blob (one bit in its header) shows
    position, head = 0, GENESIS
    versions: dict[str, int] = {}
    try:
        rows = connection.execute(
            "SELECT position, stream, version, type, at, actor, correlation, causation, data, hash"
            " FROM events ORDER BY position",
        )
        for row in rows:
            _check(position + 1, row, head, versions)
            position, head = position + 1, row[9]
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter of an error that quotes damaged bytes
        raise ChainBroken(position + 1, f"SQLite cannot read it: {error}") from error
    finally:
        connection.close()
    return Verified(count=position, head=head)


_TYPES = {
    (int, bytearray, int, bytearray, int, bytearray, int, causation, bytearray, bytes)
    for causation in (int, type(None))
}
"""What the columns hold, with text as bytearray."""


def _check(expected: int, row: tuple[Any, ...], head: bytes, versions: dict[str, int]) -> None:
    position, *middle, data, hash_ = row
    if position != expected:
        raise ChainBroken(expected, f"the next event in the file is {position}")
    if tuple(map(type, row)) not in _TYPES:
        raise ChainBroken(expected, "a column holds a value of another type")
    try:
        stream, version, type_, at, actor, correlation, causation = (
            value.decode() if isinstance(value, bytearray) else value for value in middle
        )
    except UnicodeDecodeError:
        raise ChainBroken(expected, "its envelope is not UTF-8") from None
    if versions.get(stream, 0) + 1 != version:
        raise ChainBroken(expected, f"version {version} follows {versions.get(stream, 0)} in its stream")
    versions[stream] = version
    envelope = (position, stream, version, type_, at, actor, correlation, causation)
    if link(head, envelope, data) != hash_:
        raise ChainBroken(expected, "its hash does not follow from its content and the hash before it")
