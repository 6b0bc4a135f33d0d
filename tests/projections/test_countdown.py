"""The countdown's words."""

from __future__ import annotations

import pytest

from hyperhive.projections.countdown import countdown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (0.2, "1s"),
        (1, "1s"),
        (42, "42s"),
        (59, "59s"),
        (59.5, "1m 00s"),
        (60, "1m 00s"),
        (185, "3m 05s"),
        (3_599, "59m 59s"),
        (3_600, "1h 00m"),
        (7_800, "2h 10m"),
        (86_400, "24h 00m"),
    ],
)
def test_countdown(seconds: float, text: str) -> None:
    """Seconds, then minutes with seconds, then hours with minutes; a second that has begun counts."""
    assert text == countdown(seconds)
