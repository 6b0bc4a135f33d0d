"""Anchors: the chain's head, written down where whoever changes the database does not reach.

A file of anchors has one JSON object a line and only grows, so that it can lie on another machine, in a mail, in print.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Annotated, Any

import msgspec

from hyperhive.events.chain import Anchor
from hyperhive.events.damage import LogDamaged, SegmentLost
from hyperhive.events.envelope import rfc3339
from hyperhive.events.log import read_only
from hyperhive.events.rows import Rows

_Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_LONGEST_LINE = 1_000


class BadAnchor(Exception):  # noqa: N818
    """What is not an anchor, or not one of this hive."""


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    hive: str
    position: Annotated[int, msgspec.Meta(ge=1)]
    hash: _Hex
    at: str
    """When it was written down, by the clock of whoever did."""


def head_of(path: Path, *, named: bool = True) -> Anchor:
    """Read where a log ends now; raises `BadAnchor` for one without a fact.

    The hive's name is in the first fact; where that cannot be read, who does not need it says so by ``named``.
    """
    connection = read_only(path)
    try:
        row = connection.execute("SELECT position, hash FROM facts ORDER BY position DESC LIMIT 1").fetchone()
        if row is None:
            raise BadAnchor(f"{path} has no fact yet; there is nothing to anchor")
        try:
            hive = _hive_of(connection)
        except SegmentLost as lost:
            if named:
                raise BadAnchor(f"the log does not say which hive it is of: {lost}") from lost
            hive = ""
        return Anchor(hive=hive, position=row[0], hash=row[1], origin=str(path))
    finally:
        connection.close()


def hive_of(path: Path) -> str:
    """Read which hive a log is of; nothing where its first fact does not say so."""
    try:
        with contextlib.closing(read_only(path)) as connection:
            return _hive_of(connection)
    except (sqlite3.DatabaseError, LogDamaged) as error:
        raise BadAnchor(f"{path} cannot be read: {error}") from error


def _hive_of(connection: sqlite3.Connection) -> str:
    row = Rows(connection).at(1)
    try:
        found = {} if row is None else msgspec.json.decode(row[8], type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found = {}
    return str(found.get("hive") or "")


def write_anchor(file: Path, anchor: Anchor, *, at: int) -> None:
    """Append an anchor, durably; a file that holds anything else than anchors of this hive is left alone."""
    if file.exists():
        read_anchors(file, hive=anchor.hive)
    line = _Line(hive=anchor.hive, position=anchor.position, hash=anchor.hash.hex(), at=rfc3339(at))
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, msgspec.json.encode(line) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_anchors(file: Path, *, hive: str) -> list[Anchor]:
    """Read a file's anchors. Raises `BadAnchor` with the line that is none, or none of this hive."""
    anchors = []
    with file.open("rb") as opened:
        for number, line in enumerate(iter(lambda: opened.readline(_LONGEST_LINE), b""), start=1):
            origin = f"{file}, line {number}"
            if not line.endswith(b"\n"):
                raise BadAnchor(f"{origin}: the line does not end; the file was cut off, or is no file of anchors")
            try:
                found = msgspec.json.decode(line, type=_Line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise BadAnchor(f"{origin} is not an anchor as hyperhive log anchor writes it: {error}") from None
            if found.hive != hive:
                raise BadAnchor(f"{origin} is of the hive {found.hive}, and this is {hive or 'a hive without a name'}")
            anchors.append(Anchor(hive=hive, position=found.position, hash=bytes.fromhex(found.hash), origin=origin))
    return anchors
