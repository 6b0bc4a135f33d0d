"""What is wrong with a log's file, in words that name the position and what is still readable."""

from __future__ import annotations


class LogDamaged(Exception):  # noqa: N818
    """The file is not a log that this release can read or append to."""


class SegmentLost(LogDamaged):
    """Archived facts that cannot be read; the text says which, and which can."""

    def __init__(self, first: int, last: int, reason: str) -> None:
        super().__init__(
            f"positions {first} to {last} cannot be read: {reason}; what is before {first} and after {last} can"
        )
        self.first = first
        self.last = last
        self.reason = reason
