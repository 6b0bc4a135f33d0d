"""Keeps a list of rows within one line of the wire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness import wire

ROOM_BYTES = wire.MAX_LINE_BYTES - 1_024
"""What a reply's list may take; the rest is for the reply around it."""

Row = dict[str, Any]


def fitting(name: str, rows: Iterable[Row]) -> dict[str, Any]:
    """Return under this name the first of these rows that fit, and as ``left_out`` how many did not, if any."""
    kept: list[Row] = []
    room, left_out = ROOM_BYTES, 0
    for row in rows:
        room -= len(wire.encode(row))
        if room < 0:
            left_out += 1
        else:
            kept.append(row)
    return {name: kept, **({"left_out": left_out} if left_out else {})}
