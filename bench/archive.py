"""The archive: how much smaller it is than what left the log, and what reading across it costs.

The peer is the same log without an archive.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

from bench import history
from bench.figures import at_least, at_least_times, interleaved, median, note, number, rate, scratch
from hyperhive.events import archiving
from hyperhive.events.log import Log, connect, read, read_only
from hyperhive.projections.hive import Hive

COUNT = 100_000


def replay(path: Path) -> None:
    """Read, decode and fold everything."""
    with contextlib.closing(read_only(path)) as connection:
        Hive().fold_all(read(connection))


def kept(log: Log) -> int:
    """Return the bytes that the facts take in the file."""
    sql = "SELECT sum(pgsize) FROM dbstat WHERE name IN ('facts', 'streams', 'names')"
    return int(log.connection.execute(sql).fetchone()[0])


def main() -> None:
    """Measure and say."""
    with scratch() as place:
        live = place / "live" / "hive.sqlite"
        live.parent.mkdir()
        history.write(live, COUNT).close()
        old = Path(shutil.copytree(live.parent, place / "old")) / "hive.sqlite"
        log = Log(connect(old))
        before, begun = kept(log), time.process_time()
        small, leaving = 0, 0.0
        while (segment := archiving.write(old, COUNT)) is not None:
            moved = time.perf_counter()
            log.leave(segment)
            leaving = max(leaving, time.perf_counter() - moved)
            small += segment.size
        spent = time.process_time() - begun
        how = f"{number(before / COUNT)} bytes a fact, then {number(small / COUNT)}"
        at_least_times("archive", before / small, how, 5)
        note(
            f"written and proven at {number(COUNT / spent)} facts/s; leaving holds the writer {leaving * 1_000:.0f} ms"
        )
        log.close()
        found = interleaved(
            {
                "archived": lambda: rate(COUNT, lambda: replay(old), clock=time.process_time),
                "live": lambda: rate(COUNT, lambda: replay(live), clock=time.process_time),
            }
        )
        at_least("replay across segments", found, "archived", "live", 0.6)
        note(f"a fact from the middle: {median(_points(old)):.1f} ms, live {median(_points(live)):.2f} ms")


def _points(path: Path) -> list[float]:
    """Time single facts from everywhere, each through a connection of its own."""
    times = []
    for position in range(1, COUNT, COUNT // 40):
        begun = time.perf_counter()
        with contextlib.closing(read_only(path)) as connection:
            assert next(read(connection, after=position - 1, until=position)).position == position
        times.append((time.perf_counter() - begun) * 1_000)
    return times
