"""``hyperhive --help``: how soon it is there, against a Python that does nothing."""

from __future__ import annotations

import subprocess
import sys
import time

from bench.figures import at_most, interleaved, median, note

CLAIM_MS = 150


def milliseconds(*arguments: str) -> float:
    """Time one run of Python from outside."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return (time.perf_counter() - begun) * 1_000


def main() -> None:
    """Measure and say."""
    found = interleaved(
        {
            "help": lambda: milliseconds("-m", "hyperhive.cli", "--help"),
            "nothing": lambda: milliseconds("-c", "pass"),
        },
    )
    at_most("hyperhive --help", median(found["help"]), "ms", CLAIM_MS)
    note(f"python -c pass: {median(found['nothing']):.0f} ms")
