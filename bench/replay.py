"""Replay: read, decode and fold everything from position 0, against eventsourcing's mapper alone on the same facts.

The mapper has them in memory already, decodes and does no more. Seconds are the process's own.
"""

from __future__ import annotations

import sqlite3
import time

from bench import history, peer_events
from bench.figures import at_least, interleaved, median, note, number, rate, scratch
from hyperhive.events.log import read, read_only
from hyperhive.projections.hive import Hive

COUNT = 200_000
PEER = 20_000
AIM = 300_000


def replay(connection: sqlite3.Connection) -> None:
    """Read, decode and fold everything."""
    Hive().fold_all(read(connection))


def main() -> None:
    """Measure and say."""
    with scratch() as place:
        path = place / "hive.sqlite"
        history.write(path, COUNT).close()
        connection = read_only(path)

        def decode() -> None:
            for _ in read(connection):
                pass

        mapper, stored = peer_events.stored(read(connection, until=PEER))
        found = interleaved(
            {
                "hyperhive": lambda: rate(COUNT, lambda: replay(connection), clock=time.process_time),
                "eventsourcing's mapper": lambda: rate(
                    PEER,
                    lambda: [mapper.to_domain_event(kept) for kept in stored],
                    clock=time.process_time,
                ),
                "read and decode": lambda: rate(COUNT, decode, clock=time.process_time),
            },
        )
        at_least("replay, all projections", found, "hyperhive", "eventsourcing's mapper", 3)
        note(f"read and decoded alone, nothing folded: {number(median(found['read and decode']))}/s")
        note(f"aim: {number(AIM)}/s; {'reached' if median(found['hyperhive']) >= AIM else 'not reached'}")
