"""The hash chain: each fact's hash covers its envelope, its data and the hash before it."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import msgspec

from hyperhive.events import schema
from hyperhive.events.cut import cut_off, lacking, read_what_is_left
from hyperhive.events.damage import SegmentLost
from hyperhive.events.hashing import GENESIS as GENESIS  # noqa: PLC0414 - where the chain begins
from hyperhive.events.hashing import Envelope as Envelope  # noqa: PLC0414
from hyperhive.events.hashing import link as link  # noqa: PLC0414
from hyperhive.events.interning import Names
from hyperhive.events.reading import snapshot
from hyperhive.events.rows import Rows
from hyperhive.events.schema import AT_ZERO
from hyperhive.events.segment import BadSegment, Segment, decode_envelope
from hyperhive.events.segments import Kept, Segments, holds, kept

PAGE = 500
"""Facts read at once by who may be slow; one is at most some 64 KiB."""

_SELECT = "SELECT position, stream, version, type, at, actor, correlation, causation, previous, data, hash FROM facts"


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


OLDER = (
    "an older release wrote the file; upgrade it first: a hive's own with `hyperhive db upgrade`, a copy as hive.sqlite"
    " in a new directory with `hyperhive db upgrade --data-dir DIRECTORY`"
)
"""What to do about a file that has its facts in another table."""


class ChainBroken(Exception):  # noqa: N818
    """The first position at which the log is not what was written."""

    def __init__(self, position: int, reason: str, *, after: int | None = None) -> None:
        """Take where it is broken; ``after`` is up to where, where what follows can be read all the same."""
        beyond = "" if after is None else f", and what is after {after} can be read"
        super().__init__(
            f"the log is broken at position {position}: {reason}; what is before {position} is whole{beyond}"
        )
        self.position = position
        self.reason = reason


class Walk:
    """The chain as far as it was walked: each step follows from the one before, or it is broken there."""

    def __init__(self, *, position: int = 0, head: bytes = GENESIS) -> None:
        self.position = position
        self.head = head
        self._whole = position == 0
        """Whether every stream is seen from its first fact on."""
        self.newest: dict[str, tuple[int, int]] = {}
        """Version and position of each stream's last fact so far."""

    def step(self, envelope: Envelope, data: bytes, hash_: bytes) -> None:
        """Take the next fact. Raises `ChainBroken` with the position at which it should have stood."""
        position, stream, version, *_ = envelope
        expected = self.position + 1
        if position != expected:
            raise ChainBroken(expected, f"the next event in the file is {position}")
        before, _ = self.newest.get(stream, (0 if self._whole else version - 1, 0))
        if before + 1 != version:
            raise ChainBroken(expected, f"version {version} follows {before} in its stream")
        self.newest[stream] = version, position
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
        with snapshot(connection):
            for _ in _whole(path, connection, walk):
                for anchor in wanted.pop(walk.position, ()):
                    if anchor.hash != walk.head:
                        raise AnchorMissed(anchor, "another fact stands there now")
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter of an error that quotes damaged bytes
        raise ChainBroken(walk.position + 1, lacking(path, error)) from error
    finally:
        connection.close()
    if (cut := cut_off(path)) is not None:
        raise ChainBroken(walk.position + 1, f"{cut}; every event up to here is")
    if wanted:
        raise AnchorMissed(wanted[min(wanted)][0], f"the log ends at {walk.position} now")
    return Verified(count=walk.position, head=walk.head)


def _whole(path: Path, connection: sqlite3.Connection, walk: Walk) -> Iterator[None]:
    """Walk everything, a pause after each fact: segments, the live facts, and what the tables say of both."""
    segments = Segments(connection)
    for segment in kept(connection):
        yield from _archived(segments, segment, walk)
    old, whole = walk.position, walk
    for envelope, data, hash_, previous in _read(path, walk, connection, f"{_SELECT} ORDER BY position"):
        if envelope[0] <= old:
            raise ChainBroken(envelope[0], "it is archived, and stands in the live file as well")
        before = whole.newest.get(envelope[1])
        walk.step(envelope, data, hash_)
        if previous != (None if before is None else walk.position - before[1]):
            raise ChainBroken(walk.position, "it does not say which fact came before it in its stream")
        yield
    _check_names(connection, walk)


def _archived(segments: Segments, segment: Kept, walk: Walk) -> Iterator[None]:
    first, expected = walk.position + 1, (walk.position + 1, walk.head)
    if (segment.first, segment.previous) != expected:
        raise ChainBroken(first, f"the next segment begins at {segment.first}, or follows another hash")
    try:
        content = segments.content(segment)
    except SegmentLost as lost:
        raise ChainBroken(first, f"up to {segment.last} it is archived, and {lost.reason}", after=lost.last) from None
    where = segments.where(segment)
    if sha256(content).digest() != segment.digest:
        raise _located(content, segment, str(where))
    opened = Segment(content)
    for number in range(len(opened)):
        for written, data, hash_ in opened.hashed(number):
            walk.step(decode_envelope(written), data, hash_)
            yield
    if (walk.position, walk.head) != (segment.last, segment.head):
        raise ChainBroken(first, f"{where} does not lead to the hash that was kept", after=segment.last)


def _located(content: bytes, segment: Kept, where: str) -> ChainBroken:
    """Say where in a segment, which is not the file that was written, the damage is."""
    first, last = segment.first, segment.last
    try:
        opened = Segment(content)
    except BadSegment as error:
        return ChainBroken(first, f"{where} cannot be read up to {last}: {error}", after=last)
    if not holds(opened, segment):
        return ChainBroken(first, f"{where} says that it holds something else than {first} to {last}", after=last)
    for number in range(len(opened)):
        begin, end = opened.bounds(number)
        try:
            for written, _, _ in opened.hashed(number):
                decode_envelope(written)
        except (BadSegment, msgspec.MsgspecError, UnicodeDecodeError) as error:
            return ChainBroken(begin, f"{where} cannot be read from {begin} to {end}: {error}", after=end)
    return ChainBroken(
        first, f"{where} is not the file that was written, though no fact up to {last} differs", after=last
    )


def _check_names(connection: sqlite3.Connection, walk: Walk) -> None:
    """Compare where each stream stands with what was walked, and let SQLite check the tables that are looked up."""
    if missing := schema.missing(connection):
        lacking = ", ".join(missing)
        raise ChainBroken(
            walk.position + 1, f"all facts are whole, and the file lacks what guards or shows them: {lacking}"
        )
    for table in ("streams", "names", "segments"):
        ((said, *_),) = connection.execute(f"PRAGMA integrity_check({table})").fetchmany(1)
        if bytes(said) != b"ok":
            raise ChainBroken(walk.position + 1, f"SQLite finds in the table {table}: {bytes(said).decode()}")
    found = {
        bytes(name).decode(): (version, position)
        for name, version, position in connection.execute("SELECT name, version, position FROM streams")
    }
    for name in found.keys() | walk.newest.keys():
        if found.get(name) != walk.newest.get(name):
            raise ChainBroken(
                walk.position + 1,
                f"the stream {name} ends at {walk.newest.get(name)} (version, position), and its table says "
                f"{found.get(name)}",
            )


def walked(path: Path, first: int, last: int) -> Generator[tuple[Envelope, bytes, bytes], None, None]:
    """Yield envelope, data and hash of the facts from ``first`` to ``last``, each after it was checked.

    The link before ``first`` is believed. Reads a page at a time, so that no snapshot is held which the writer's file
    would grow for. Raises `ChainBroken`.
    """
    connection = _open(path)
    try:
        walk = Walk(position=first - 1, head=hash_before(path, first))
        while walk.position < last:
            begun = walk.position
            for envelope, data, hash_ in _some(path, connection, walk, last):
                walk.step(envelope, data, hash_)
                yield envelope, data, hash_
                if walk.position == last:
                    return  # a damaged page may go on with rows of any position
            if walk.position == begun:
                raise ChainBroken(begun + 1, f"the file ends before it, and {last} was there")
    finally:
        connection.close()


def _some(path: Path, connection: sqlite3.Connection, walk: Walk, last: int) -> Iterator[tuple[Envelope, bytes, bytes]]:
    """Yield the next facts: the rest of a frame, or a page of the live file."""
    begun = walk.position
    segments = Segments(connection)
    segment = segments.holding(begun + 1)
    if segment is None:
        sql = f"{_SELECT} WHERE position > ? AND position <= ? ORDER BY position LIMIT {PAGE}"
        for envelope, data, hash_, _ in _read(path, walk, connection, sql, (begun, last)):
            yield envelope, data, hash_
        return
    try:
        for row in Rows(connection).between(begun, min(last, segment.last), hashes=True):
            yield row[:8], row[8], row[9]
    except SegmentLost as lost:
        raise ChainBroken(walk.position + 1, lost.reason, after=lost.last) from None


def hash_before(path: Path, position: int) -> bytes:
    """Return the hash before a position. Raises `ChainBroken`."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        read_what_is_left(connection, path)
        found = Rows(connection).hash_at(position - 1)
    except SegmentLost as lost:
        raise ChainBroken(position - 1, lost.reason, after=lost.last) from None
    except sqlite3.DatabaseError as error:
        raise ChainBroken(position - 1, lacking(path, error)) from error
    finally:
        connection.close()
    if type(found) is not bytes:
        raise ChainBroken(position - 1, "it is not there")
    return found


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.text_factory = bytearray  # so that a text which has become a blob (one bit in its header) shows
    connection.execute("PRAGMA busy_timeout=5000")
    read_what_is_left(connection, path)
    try:
        tables = {bytes(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        connection.close()
        raise ChainBroken(1, lacking(path, error)) from error
    if b"facts" not in tables:
        connection.close()
        raise ChainBroken(1, OLDER if b"events" in tables else "there is no log in this file")
    return connection


def _read(
    path: Path, walk: Walk, connection: sqlite3.Connection, sql: str, parameters: tuple[int, ...] = ()
) -> Iterator[tuple[Envelope, bytes, bytes, int | None]]:
    """Yield envelope, data, hash and the distance to the fact before in its stream."""
    names = _Texts(connection, "streams"), _Texts(connection, "names")
    try:
        for row in connection.execute(sql, parameters):
            yield _checked(walk.position + 1, row, *names)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter of an error that quotes damaged bytes
        raise ChainBroken(walk.position + 1, lacking(path, error)) from error


class _Texts(Names):
    """Names through a connection that gives the bytes of a text; what is no text is no name."""

    def __missing__(self, id_: int) -> str:
        row = self.look_up(id_)
        if row is None or not isinstance(row[0], bytearray):
            raise KeyError(id_)
        return self.setdefault(id_, row[0].decode())


_TYPES = {
    (int, int, int, int, int, int, int, causation, previous, bytearray, bytes)
    for causation in (int, type(None))
    for previous in (int, type(None))
}
"""What the columns hold, with text as bytearray."""


def _checked(
    expected: int, row: tuple[Any, ...], streams: Names, names: Names
) -> tuple[Envelope, bytes, bytes, int | None]:
    if tuple(map(type, row)) not in _TYPES:
        if type(row[0]) is int and row[0] != expected:
            raise ChainBroken(expected, f"the next event in the file is {row[0]}")
        raise ChainBroken(expected, "a column holds a value of another type")
    position, stream, version, type_, at, actor, correlation, causation, previous, data, hash_ = row
    try:
        texts = streams[stream], names[type_], names[actor]
    except UnicodeDecodeError:
        raise ChainBroken(expected, "its envelope is not UTF-8") from None
    except KeyError as error:
        raise ChainBroken(expected, f"nothing is named by the id {error}") from None
    envelope = (
        position,
        texts[0],
        version,
        texts[1],
        at + AT_ZERO,
        texts[2],
        position - correlation,
        None if causation is None else position - causation,
    )
    return envelope, data, hash_, previous
