"""Positions and moments as people write them: 1200, 90d, 2026-11-20T18:00:00Z."""

from __future__ import annotations

import re
import sqlite3
import time
from datetime import datetime
from typing import Any

import click

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_AGE = re.compile(r"(\d{1,9})([smhdw])")
_LATEST = 2**53


class Moment(click.ParamType):  # type: ignore[type-arg] # generic for type checkers from click 8.4 on
    """A position, or a moment in microseconds since 1970; `position_of` makes the one of the other."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Read a position, an age or an RFC 3339 time."""
        found = _read(str(value).strip())
        if found is None:
            self.fail(
                f"{value!r} is no position (1200), age (90d, 12h) or RFC 3339 time (2026-11-20T18:00:00Z)", param, ctx
            )
        return found


def _read(text: str) -> tuple[str, int] | None:
    if text.isdecimal() and text.isascii() and 1 <= int(text[:20]) <= _LATEST:
        return "position", int(text)
    if (age := _AGE.fullmatch(text)) is not None:
        return "at", time.time_ns() // 1_000 - int(age[1]) * _UNITS[age[2]] * 1_000_000
    if "T" not in text.upper():  # a bare date has no time of day, and the parser takes it for midnight
        return None
    try:
        return "at", int(datetime.fromisoformat(text).astimezone().timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        return None


MOMENT = Moment()


def position_before(connection: sqlite3.Connection, moment: tuple[str, int]) -> int:
    """Return the last position before a moment; 0 where there is none."""
    from hyperhive.events import reading  # noqa: PLC0415 - heavy imports after --help

    kind, value = moment
    return value - 1 if kind == "position" else reading.position_before(connection, value)


def position_until(connection: sqlite3.Connection, moment: tuple[str, int]) -> int:
    """Return the last position up to a moment, what happened in it included."""
    kind, value = moment
    return value if kind == "position" else position_before(connection, (kind, value + 1))
