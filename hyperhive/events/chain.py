"""The hash chain: each fact's hash covers its envelope, its data and the hash before it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import msgspec

GENESIS = bytes(32)
"""What stands in the place of a hash before the first fact."""

PAGE = 500
"""Facts read at once by who may be slow; one is at most some 64 KiB."""

Envelope = tuple[Any, ...]
"""Position, stream, version, type, at, actor, correlation, causation."""

_SELECT = "SELECT position, stream, version, type, at, actor, correlation, causation, data, hash FROM events"

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


@attrs.frozen(kw_only=True)
class Anchor:
    """Where the chain of a hive ended when somebody wrote it down outside of the database."""

    hive: str
    position: int
    hash: bytes
    origin: str
    """Where it was written down, for people."""


class AnchorMissed(Exception):  # noqa: N818
    """The chain holds in itself, but it is not the one that was anchored."""

    def __init__(self, anchor: Anchor, reason: str) -> None:
        super().__init__(
            f"the log is not the one of {anchor.origin}, which was taken at position {anchor.position}: {reason}; "
            "its tail was cut, its past rewritten, or it goes on from a backup that is older than the anchor"
        )
        self.anchor = anchor
        self.position = anchor.position
        self.reason = reason


class ChainBroken(Exception):  # noqa: N818
    """The first position at which the log is not what was written."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"the log is broken at position {position}: {reason}; what is before {position} is whole")
        self.position = position
        self.reason = reason


class Walk:
    """The chain as far as it was walked: each step follows from the one before, or it is broken there."""

    def __init__(self, *, position: int = 0, head: bytes = GENESIS) -> None:
        self.position = position
        self.head = head
        self._whole = position == 0
        """Whether every stream is seen from its first fact on."""
        self._versions: dict[str, int] = {}

    def step(self, envelope: Envelope, data: bytes, hash_: bytes) -> None:
        """Take the next fact. Raises `ChainBroken` with the position at which it should have stood."""
        position, stream, version, *_ = envelope
        expected = self.position + 1
        if position != expected:
            raise ChainBroken(expected, f"the next event in the file is {position}")
        before = self._versions.get(stream, 0 if self._whole else version - 1)
        if before + 1 != version:
            raise ChainBroken(expected, f"version {version} follows {before} in its stream")
        self._versions[stream] = version
        if link(self.head, envelope, data) != hash_:
            raise ChainBroken(expected, "its hash does not follow from its content and the hash before it")
        self.position, self.head = position, hash_


def verify(path: Path, anchors: Iterable[Anchor] = ()) -> Verified:
    """Walk the whole chain of a log's file, read-only; a daemon may be running.

    Raises `ChainBroken` with the first bad position, for a changed, missing or added fact as for a damaged page, and
    `AnchorMissed` where the chain holds but is not the one that an anchor was taken of.
    """
    wanted: dict[int, list[Anchor]] = {}
    for anchor in anchors:
        wanted.setdefault(anchor.position, []).append(anchor)
    connection = _open(path)
    walk = Walk()
    try:
        for envelope, data, hash_ in _read(walk, connection, f"{_SELECT} ORDER BY position"):
            walk.step(envelope, data, hash_)
            for anchor in wanted.pop(walk.position, ()):
                if anchor.hash != hash_:
                    raise AnchorMissed(anchor, "another fact stands there now")
    finally:
        connection.close()
    if wanted:
        raise AnchorMissed(wanted[min(wanted)][0], f"the log ends at {walk.position} now")
    return Verified(count=walk.position, head=walk.head)


def walked(path: Path, first: int, last: int) -> Iterator[tuple[Envelope, bytes, bytes]]:
    """Yield envelope, data and hash of the facts from ``first`` to ``last``, each after it was checked.

    The link before ``first`` is believed. Reads a page at a time, so that no snapshot is held which the writer's file
    would grow for. Raises `ChainBroken`.
    """
    connection = _open(path)
    try:
        walk = Walk(position=first - 1, head=_hash_at(connection, first - 1))
        while walk.position < last:
            sql = f"{_SELECT} WHERE position > ? AND position <= ? ORDER BY position LIMIT {PAGE}"
            begun = walk.position
            for envelope, data, hash_ in _read(walk, connection, sql, (begun, last)):
                walk.step(envelope, data, hash_)
                yield envelope, data, hash_
            if walk.position == begun:
                raise ChainBroken(begun + 1, f"the file ends before it, and {last} was there")
    finally:
        connection.close()


def _hash_at(connection: sqlite3.Connection, position: int) -> bytes:
    if position == 0:
        return GENESIS
    try:
        row = connection.execute("SELECT hash FROM events WHERE position = ?", (position,)).fetchone()
    except sqlite3.DatabaseError as error:
        raise ChainBroken(position, f"SQLite cannot read it: {error}") from error
    if row is None or type(row[0]) is not bytes:
        raise ChainBroken(position, "it is not there")
    return row[0]


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    connection.text_factory = bytearray  # so that a text which has become a blob (one bit in its header) shows
    connection.execute("PRAGMA busy_timeout=5000")
    return connection


def _read(
    walk: Walk, connection: sqlite3.Connection, sql: str, parameters: tuple[int, ...] = ()
) -> Iterator[tuple[Envelope, bytes, bytes]]:
    try:
        for row in connection.execute(sql, parameters):
            yield _checked(walk.position + 1, row)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter of an error that quotes damaged bytes
        raise ChainBroken(walk.position + 1, f"SQLite cannot read it: {error}") from error


_TYPES = {
    (int, bytearray, int, bytearray, int, bytearray, int, causation, bytearray, bytes)
    for causation in (int, type(None))
}
"""What the columns hold, with text as bytearray."""


def _checked(expected: int, row: tuple[Any, ...]) -> tuple[Envelope, bytes, bytes]:
    *envelope, data, hash_ = row
    if tuple(map(type, row)) not in _TYPES:
        if type(row[0]) is int and row[0] != expected:
            raise ChainBroken(expected, f"the next event in the file is {row[0]}")
        raise ChainBroken(expected, "a column holds a value of another type")
    try:
        texts = [value.decode() if isinstance(value, bytearray) else value for value in envelope]
    except UnicodeDecodeError:
        raise ChainBroken(expected, "its envelope is not UTF-8") from None
    return tuple(texts), data, hash_
