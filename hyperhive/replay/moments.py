"""Moments as people write them: a position, a time of day, a day and a time, so long ago, RFC 3339."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo

FORMS = (
    "a position (1234), a time (10:42, yesterday 18:00, monday 9:30, 2026-07-01 10:42), so long ago (-15m, -2h30m, "
    "'3 days ago'), now, or RFC 3339"
)

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_WORDS = {"sec": "s", "second": "s", "min": "m", "minute": "m", "hour": "h", "day": "d", "week": "w"}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MINUS = "\u2212"
"""The minus sign proper. A command line takes it for an argument where ``-15m`` would be options."""

_SPAN = re.compile(r"(\d+)\s*([a-z]+)\s*")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,6})?)?")
_LONGEST = 64


class BadMoment(Exception):  # noqa: N818
    """A text that names no moment."""

    code = "invalid"


def read_moment(text: str, *, now: datetime, zone: tzinfo | None = None) -> int | datetime:
    """Read a position (an int) or a time (aware).

    A time without a zone is one of ``zone``; None means this machine's. A time of day is the newest one that has been;
    so is a weekday, which is never today. A day without a time is its midnight. Raises `BadMoment`.
    """
    plain = " ".join(text.strip().lower().replace(_MINUS, "-").split())
    if re.fullmatch(r"[0-9]{1,18}", plain):
        return int(plain)
    try:
        found = _read(plain, now.astimezone(zone), zone) if plain.isascii() and len(plain) <= _LONGEST else None
    except (ValueError, OverflowError) as error:
        raise BadMoment(f"{text[:_LONGEST]!r} is no moment: {error}; write {FORMS}") from None
    if found is None:
        raise BadMoment(f"{text[:_LONGEST]!r} is no moment; write {FORMS}")
    return found


def _read(plain: str, now: datetime, zone: tzinfo | None) -> datetime | None:
    if plain == "now":
        return now
    ago = plain.removeprefix("-") if plain.startswith("-") else plain.removesuffix(" ago")
    if ago != plain:
        span = _span(ago)
        return None if span is None else now.astimezone(UTC) - span  # an hour ago is one also across summer time
    if _CLOCK.fullmatch(plain):
        today = _at(now, plain, zone)
        return today if today <= now else _at(now - timedelta(days=1), plain, zone)
    word, _, clock = plain.partition(" ")
    day = _day(word, now)
    if day is not None:
        return _at(day, clock or "00:00", zone)
    if not re.match(r"\d{4}-\d{2}-\d{2}", plain):
        return None
    read = datetime.fromisoformat(plain.upper())
    return read if read.tzinfo is not None else _in_zone(read, zone)


def _day(word: str, now: datetime) -> datetime | None:
    if word in ("today", "yesterday"):
        return now - timedelta(days=word == "yesterday")
    if word in _WEEKDAYS:
        return now - timedelta(days=(now.weekday() - _WEEKDAYS.index(word) - 1) % 7 + 1)
    return None


def _at(day: datetime, clock: str, zone: tzinfo | None) -> datetime:
    read = _CLOCK.fullmatch(clock)
    if read is None:
        raise ValueError(f"{clock!r} is no time of day")
    hour, minute, second, fraction = read.groups()
    at = time(int(hour), int(minute), int(second or 0), round(float(fraction or 0) * 1_000_000))
    return _in_zone(datetime.combine(day.date(), at), zone)


def _in_zone(naive: datetime, zone: tzinfo | None) -> datetime:
    # astimezone() of a naive time knows this machine's rules for summer time on that very day.
    return naive.astimezone() if zone is None else naive.replace(tzinfo=zone)


def _span(text: str) -> timedelta | None:
    seconds, rest = 0, text.strip()
    while rest:
        read = _SPAN.match(rest)
        unit = None if read is None else _unit(read[2])
        if read is None or unit is None:
            return None
        seconds += int(read[1]) * _UNITS[unit]
        rest = rest[read.end() :]
    return timedelta(seconds=seconds) if text.strip() else None


def _unit(word: str) -> str | None:
    if word in _UNITS:
        return word
    return _WORDS.get(word.removesuffix("s")) if len(word) > 1 else None
