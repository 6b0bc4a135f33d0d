"""How long is left, in words: the one function that every surface uses."""

from __future__ import annotations

_MINUTE, _HOUR = 60, 3_600


def countdown(seconds: float) -> str:
    """Show a time as ``42s``, ``3m 05s`` under an hour, ``2h 10m`` above.

    A second that has begun counts, and nothing is less than ``0s``.
    """
    left = max(0, -int(-seconds // 1))
    if left < _MINUTE:
        return f"{left}s"
    if left < _HOUR:
        return f"{left // _MINUTE}m {left % _MINUTE:02}s"
    return f"{left // _HOUR}h {left % _HOUR // _MINUTE:02}m"
