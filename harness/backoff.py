"""How long to wait after a failure: longer each time, up to a bound, and not all agents at once."""

from __future__ import annotations

import random

FIRST_SECONDS = 2.0
MAX_RATIO = 150
"""The longest pause is so many first ones: 5 minutes where the first is 2 seconds."""
JITTER = 0.2


class Backoff:
    """Counts failures in a row."""

    def __init__(self, first_seconds: float = FIRST_SECONDS) -> None:
        self.first_seconds = first_seconds
        self.failures = 0

    def next(self) -> float:
        """Count a failure and return the pause after it, in seconds."""
        ratio = min(2.0 ** min(self.failures, 30), MAX_RATIO)
        self.failures += 1
        return self.first_seconds * ratio * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret

    def reset(self) -> None:
        """Forget the failures: something worked."""
        self.failures = 0
