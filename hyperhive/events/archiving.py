"""Writes the next segment of a log: the file is durable, and read back and proven, before any fact may leave.

`write` makes the file, from any thread or process that may read the log; `Log.leave` then lets the facts go, in one
transaction with the row that says where they are. Cut off in between, the facts stand in both, and the row decides.
"""

from __future__ import annotations

import contextlib
import os
from hashlib import sha256
from pathlib import Path

from hyperhive.events import chain
from hyperhive.events.damage import LogDamaged
from hyperhive.events.log import read_only
from hyperhive.events.segment import BadSegment, Header, Segment, decode_envelope, pack
from hyperhive.events.segments import DIRECTORY, Kept, archived


def write(path: Path, until: int) -> Kept | None:
    """Write the next segment of a log's file, at most up to a position; None where nothing is left to archive.

    The newest fact always stays. Raises `ChainBroken` for a log that is not what was written, `LogDamaged`, `OSError`
    where the file cannot be made.
    """
    with contextlib.closing(read_only(path)) as connection:
        first = archived(connection) + 1
        (newest,) = connection.execute("SELECT coalesce(max(position), 0) FROM facts").fetchone()
        last = min(until, newest - 1)
        if last < first:
            return None
        previous = chain.hash_before(path, first)
        with contextlib.closing(chain.walked(path, first, last)) as facts:
            try:
                header, content = pack(facts, previous=previous)
            except BadSegment as error:
                raise LogDamaged(f"{error}; it cannot be archived") from None
        head = bytes.fromhex(header.frames[-1].head)
        file = path.parent / DIRECTORY / f"{header.first:010}-{header.last:010}-{head.hex()[:8]}.zst"
        place(file, content)
        _prove(file, header)
        return Kept(first, header.last, previous, head, _until(file, header), file.name, len(content), _digest(content))


def place(file: Path, content: bytes) -> None:
    """Make a file durable under its name, whole or not at all."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    unfinished.replace(file)
    for directory in (file.parent, file.parent.parent):
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _prove(file: Path, header: Header) -> None:
    """Read a segment as a reader will, and hash every fact again."""
    try:
        opened = Segment(file.read_bytes())
        same = opened.header == header
        for number in range(len(opened)):
            for _ in opened.hashed(number):
                pass
    except BadSegment as error:
        raise LogDamaged(f"{file} was written and cannot be read back: {error}; nothing left the log") from None
    if not same:
        raise LogDamaged(f"{file} was written and reads otherwise; nothing left the log")


def _until(file: Path, header: Header) -> int:
    opened = Segment(file.read_bytes())
    envelope, _ = opened.written(opened.frame_of(header.last))[-1]
    return int(decode_envelope(envelope)[4])


def _digest(content: bytes) -> bytes:
    return sha256(content).digest()
