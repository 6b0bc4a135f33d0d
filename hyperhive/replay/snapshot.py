"""A folded hive as bytes, and back: what a checkpoint keeps."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from hyperhive.projections.hive import PROJECTIONS, Hive
from hyperhive.projections.projection import Key, Projection, Row

LEVEL = 1
"""Of compression: bodies shrink to a third, and a checkpoint still packs in a millisecond."""
MAX_BYTES = 1 << 31
"""Unpacked. More than any hive has open; a damaged file must not take the memory."""

_Rows = msgspec.defstruct("_Rows", [(projection.name, list[projection.row]) for projection in PROJECTIONS])  # type: ignore[name-defined]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Rows).decode


class BadSnapshot(Exception):  # noqa: N818
    """Bytes that are no snapshot of this release."""


def pack(hive: Hive) -> bytes:
    """Write every open row, in the order in which the hive holds them."""
    return zlib.compress(_encode({name: list(rows.values()) for name, rows in hive.rows.items()}), LEVEL)


def unpack(position: int, packed: bytes) -> Hive:
    """Make the hive again as it was at a position; raises `BadSnapshot`."""
    try:
        inflate = zlib.decompressobj()
        found: Any = _decode(inflate.decompress(packed, MAX_BYTES))
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, MemoryError) as error:
        raise BadSnapshot(f"the checkpoint at {position} cannot be read: {error}") from error
    hive = Hive()
    hive.position = position
    for projection in PROJECTIONS:
        rows = hive.rows[projection.name]
        for row in getattr(found, projection.name):
            rows.put(_key(projection, row), row)
    return hive


def _key(projection: Projection, row: Row) -> Key:
    if len(projection.key) == 1:
        return getattr(row, projection.key[0])
    return tuple(getattr(row, name) for name in projection.key)
