"""Moments as the options of ``hyperhive log`` take them: as everywhere in the past, and ages (90d)."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from hyperhive.replay.moments import FORMS, BadMoment, read_moment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 2**53


class Moment(click.ParamType):  # type: ignore[type-arg] # generic for type checkers from click 8.4 on
    """A position, or a moment in microseconds since 1970; `position_of` makes the one of the other."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Read a position, an age or a time."""
        try:
            found = _read(str(value))
        except BadMoment as error:
            self.fail(str(error), param, ctx)
        if isinstance(found, datetime):
            return "at", (found - _EPOCH) // timedelta(microseconds=1)
        if not 1 <= found <= _LATEST:
            self.fail(f"{value!r} is no position; the first is 1", param, ctx)
        return "position", found


def _read(text: str) -> int | datetime:
    now = datetime.now(UTC)
    try:
        return read_moment(text, now=now)
    except BadMoment:
        try:
            return read_moment(f"{text.strip() or 'nothing'} ago", now=now)
        except BadMoment:
            raise BadMoment(f"{text[:64]!r} is no moment; write an age (90d, 12h), {FORMS}") from None


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
