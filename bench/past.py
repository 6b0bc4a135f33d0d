"""The past on a log of 1,000,000 events: state, difference and causes at random places, against a fold from 0.

In a process of its own, so that its memory is that of whoever asks and not of whoever made the log.
"""

from __future__ import annotations

import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import history
from bench.figures import at_most, note, number, rate_at_least, scratch
from hyperhive.events.log import read, read_only
from hyperhive.projections.hive import Hive
from hyperhive.replay.expression import predicate
from hyperhive.replay.past import Filter, Past
from hyperhive.replay.store import beside

COUNT = 1_000_000
TIMES = 200
SEED = 7
MEGABYTE = 1_000_000


def p95(ask: Callable[[], object], *, times: int = TIMES) -> float:
    """Return the milliseconds that nineteen of twenty askings stay within."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - begin) * 1_000)
    return statistics.quantiles(taken, n=20)[-1]


def ask(path: Path) -> None:
    """Measure and say; run in a process of its own."""
    chance = random.Random(SEED)
    whole = statistics.median(from_the_beginning(path, COUNT) for _ in range(3))
    rate_at_least("full rebuild", COUNT / whole * 1_000, 300_000)
    begin = time.perf_counter()
    with Past(path) as past:
        past.keep(COUNT)
        took = time.perf_counter() - begin
        note(f"checkpoints of all of it, each fact checked against the chain: {number(COUNT / took)} events/s, once")
        size = beside(path).stat().st_size
        note(f"their file: {number(size / COUNT)} bytes per event, with the index of causes")

        def anywhere() -> int:
            return chance.randint(1, COUNT)

        at_most("state at a random position, p95", p95(lambda: past.state(anywhere())), "ms", 100)
        peer = from_the_beginning(path, COUNT // 2)
        note(f"peer, fold from position 0 to the middle: {number(peer)} ms")
        at_most("diff of two random positions, p95", p95(lambda: past.diff(anywhere(), anywhere())), "ms", 250)
        at_most("why, p95", p95(lambda: past.why(str(anywhere()))), "ms", 50)
        at_most("why with everything, p95", p95(lambda: past.why(str(anywhere()), everything=True)), "ms", 50)
        listed = p95(lambda: past.events(Filter(agent="agent-7")), times=20)
        note(
            f"100 events of one agent, p95: {number(listed)} ms; track of 1,000 parts: "
            f"{number(p95(lambda: past.track(1_000), times=20))} ms"
        )
        search(past)
    at_most("peak memory of who asks", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000, "MB", 150)


def search(past: Past) -> None:
    """Measure both kinds of bisect."""
    for text in ("agent agent-7 spent more than 100", "agent agent-7 is stopped"):
        begin = time.perf_counter()
        found = past.bisect(predicate(text), seconds=600)
        took = time.perf_counter() - begin
        how = "binary search" if found.by_search else "scan"
        note(f"bisect, {text!r}: {number(took)} s by {how}, {found.evaluations} states looked at")


def from_the_beginning(path: Path, position: int) -> float:
    """Return the milliseconds that a state takes without checkpoints (and without checking the chain)."""
    begin = time.perf_counter()
    Hive().fold_all(read(read_only(path), until=position))
    return (time.perf_counter() - begin) * 1_000


def main() -> None:
    """Make the log, and let another process ask."""
    with scratch() as place:
        path = place / "hive.sqlite"
        history.write(path, COUNT).close()
        subprocess.run([sys.executable, "-m", "bench.past", str(path)], check=True)


if __name__ == "__main__":
    ask(Path(sys.argv[1]))
