"""Positions and moments on a command line."""

from __future__ import annotations

import time

import click
import pytest

from hyperhive.cli.moments import MOMENT


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1", ("position", 1)),
        ("120000", ("position", 120_000)),
        ("2026-01-01T00:00:00Z", ("at", 1_767_225_600_000_000)),
        ("2026-01-01T01:30:00.000001+01:30", ("at", 1_767_225_600_000_001)),
    ],
)
def test_moment(text: str, moment: tuple[str, int]) -> None:
    """A number is a position, an RFC 3339 time is one in any zone."""
    assert MOMENT.convert(text, None, None) == moment


def test_as_in_replay() -> None:
    """What `replay` takes for a moment is one here, too."""
    (kind, evening), (_, midnight) = (MOMENT.convert(text, None, None) for text in ("2026-01-01 18:00", "2026-01-01"))
    assert (kind, evening - midnight) == ("at", 18 * 3_600_000_000)


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("15m", 900), ("90d", 7_776_000), ("2w", 1_209_600)])
def test_age(text: str, seconds: int) -> None:
    """An age is counted back from now."""
    before = time.time_ns() // 1_000
    kind, at = MOMENT.convert(text, None, None)
    assert kind == "at"
    assert before <= at + seconds * 1_000_000 <= time.time_ns() // 1_000


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "soon", "2026-13-01T00:00:00Z", "1x", "9" * 5_000, "\u0663", "", "T", "9999999999d"],
)
def test_none(text: str) -> None:
    """What is none is refused with what would be one."""
    with pytest.raises(
        click.BadParameter, match=r"is no (moment; write an age \(90d, 12h\), a position|position; the first is 1)"
    ):
        MOMENT.convert(text, None, None)
