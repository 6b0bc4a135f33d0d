"""Moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.replay.moments import BadMoment, read_moment

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 7, 15, 9, 0, tzinfo=UTC)
"""A Wednesday, 11:00 in Berlin."""

TABLE = {
    "12": 12,
    "0": 0,
    "20260701": 20260701,
    "now": "2026-07-15T09:00:00Z",
    "10:42": "2026-07-15T10:42:00+02:00",
    "11:01": "2026-07-14T11:01:00+02:00",
    "10:42:07": "2026-07-15T10:42:07+02:00",
    "10:42:07.25": "2026-07-15T10:42:07.250000+02:00",
    "today 10:42": "2026-07-15T10:42:00+02:00",
    "today": "2026-07-15T00:00:00+02:00",
    "yesterday": "2026-07-14T00:00:00+02:00",
    "yesterday 18:00": "2026-07-14T18:00:00+02:00",
    "  Yesterday   18:00 ": "2026-07-14T18:00:00+02:00",
    "monday 9:30": "2026-07-13T09:30:00+02:00",
    "wednesday 9:30": "2026-07-08T09:30:00+02:00",
    "thursday": "2026-07-09T00:00:00+02:00",
    "-15m": "2026-07-15T08:45:00Z",
    "\u221215m": "2026-07-15T08:45:00Z",
    "-2h30m": "2026-07-15T06:30:00Z",
    "15m ago": "2026-07-15T08:45:00Z",
    "3 days ago": "2026-07-12T09:00:00Z",
    "1 hour 5 mins ago": "2026-07-15T07:55:00Z",
    "-1w": "2026-07-08T09:00:00Z",
    "2026-07-01": "2026-07-01T00:00:00+02:00",
    "2026-07-01 10:42": "2026-07-01T10:42:00+02:00",
    "2026-01-01 10:42": "2026-01-01T10:42:00+01:00",
    "2026-07-01T10:42:00Z": "2026-07-01T10:42:00Z",
    "2026-07-01t10:42:00.5+05:30": "2026-07-01T10:42:00.500000+05:30",
    "2026-07-15T08:59:59.999999Z": "2026-07-15T08:59:59.999999Z",
}


@pytest.mark.parametrize("text", TABLE)
def test_is_read(text: str) -> None:
    """Each form means what people mean by it."""
    expected = TABLE[text]
    found = read_moment(text, now=NOW, zone=BERLIN)
    assert (datetime.fromisoformat(expected) if isinstance(expected, str) else expected) == found


NONE = ("", " ", "-", "soon", "25:00", "10:60", "yesterday 25:00", "yesterday at six", "-15", "-15x", "-5m ago", "ago")
NEITHER = ("m", "2026-13-01", "2026-07-01T99:00Z", "٣", "-99999999999d", "9" * 40, "1.5", "monday tuesday")


@pytest.mark.parametrize("text", [*NONE, *NEITHER])
def test_is_refused(text: str) -> None:
    """What is none is refused with what would be one; no form is guessed."""
    with pytest.raises(BadMoment, match=r"is no moment.*write a position \(1234\), a time"):
        read_moment(text, now=NOW, zone=BERLIN)


class TestSummerTime:
    """The nights with 23 and with 25 hours."""

    NOW = datetime(2026, 3, 29, 8, 0, tzinfo=UTC)
    """10:00 in Berlin, eight hours after midnight had 01:59 followed by 03:00."""

    def test_hours_are_hours(self) -> None:
        """So long ago is so long ago, whatever the clocks showed."""
        assert read_moment("-12h", now=self.NOW, zone=BERLIN) == datetime(2026, 3, 28, 20, 0, tzinfo=UTC)

    def test_yesterday_is_by_the_clock(self) -> None:
        """Yesterday's 18:00 is what the clock showed yesterday."""
        found = read_moment("yesterday 18:00", now=self.NOW, zone=BERLIN)
        assert found == datetime(2026, 3, 28, 17, 0, tzinfo=UTC)


@given(text=st.text(max_size=80))
def test_nothing_else_is_raised(text: str) -> None:
    """Whatever somebody types is read or refused."""
    try:
        found = read_moment(text, now=NOW, zone=BERLIN)
    except BadMoment:
        return
    assert isinstance(found, int) or found.tzinfo is not None
