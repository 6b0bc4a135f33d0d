"""Pauses after failures."""

from __future__ import annotations

from harness.backoff import JITTER, MAX_RATIO, Backoff


def about(seconds: float) -> tuple[float, float]:
    """Return the bounds that the jitter leaves."""
    return seconds * (1 - JITTER), seconds * (1 + JITTER)


class TestBackoff:
    def test_doubles_up_to_a_bound(self) -> None:
        """2, 4, 8 … and never more than 5 minutes, give or take a fifth."""
        backoff = Backoff(2.0)
        for expected in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]:
            low, high = about(expected)
            assert low <= backoff.next() <= high

    def test_is_not_the_same_for_all(self) -> None:
        """Fifty agents that fail at once do not come back at once."""
        assert len({Backoff(2.0).next() for _ in range(50)}) > 40

    def test_begins_anew_after_a_success(self) -> None:
        """A turn that went well forgets the failures before it."""
        backoff = Backoff(1.0)
        for _ in range(2_000):
            assert backoff.next() <= MAX_RATIO * (1 + JITTER)
        backoff.reset()
        assert backoff.next() <= 1.0 + JITTER
