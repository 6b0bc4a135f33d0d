"""Durable append: the log alone, with 64 writers at once and with one.

64 asyncio writers wait for their own answers through one and the same group commit, over the log and over bare sqlite3.
eventsourcing has 64 threads, the only concurrent writers it knows. What a single one of them writes, when nobody else
does, is said beside it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from bench.figures import at_least, interleaved, median, note, number, rate, scratch
from bench.peers import BODY, Bare, Recorder
from bench.writers import WRITERS, append_together
from hyperhive.events.envelope import OPERATOR
from hyperhive.events.log import Log
from hyperhive.events.messages import MessageSent
from hyperhive.projections import database

EACH = 200
"""Appends of each of the writers in a round."""
ONE = 1_000
"""Appends of the one writer in a round."""
PEER = 40
"""Appends of each of the peer's writers in a round."""


def open_log(path: Path) -> Log:
    """Make an empty log."""
    database.upgrade(path)
    log, _ = database.open_hive(path)
    return log


def append(log: Log, writers: list[int]) -> None:
    """Append one message for each of these writers."""
    for writer in writers:
        log.record(MessageSent(to=f"agent-{writer}", sender="operator", body=BODY), at=1, actor=OPERATOR)
    log.commit()


def one_by_one(append_one: Callable[[int], None]) -> None:
    """Append as one writer alone, to one stream after the other."""
    for count in range(ONE):
        append_one(count % WRITERS)


def main() -> None:
    """Measure and say."""
    with scratch() as place:
        log, bare, recorder = (
            open_log(place / "hive.sqlite"),
            Bare(place / "bare.sqlite"),
            Recorder(place / "es.sqlite"),
        )
        assert recorder.synchronous() == 2, "the peer should be as durable"
        ours = functools.partial(append, log)
        many = interleaved(
            {
                "log": lambda: rate(EACH * WRITERS, lambda: append_together(ours, each=EACH)),
                "bare sqlite3": lambda: rate(EACH * WRITERS, lambda: append_together(bare.append, each=EACH)),
                "eventsourcing": lambda: rate(PEER * WRITERS, lambda: recorder.append_together(WRITERS, each=PEER)),
                "one of its writers": lambda: rate(ONE, lambda: one_by_one(recorder.append)),
            },
        )
        at_least(f"append, {WRITERS} writers", many, "log", "eventsourcing", 15)
        at_least(f"append, {WRITERS} writers", many, "log", "bare sqlite3", 0.7)
        note(f"eventsourcing with a single writer: {number(median(many['one of its writers']))}/s")

        one = interleaved(
            {
                "log": lambda: rate(ONE, lambda: one_by_one(lambda writer: ours([writer]))),
                "bare sqlite3": lambda: rate(ONE, lambda: one_by_one(lambda writer: bare.append([writer]))),
            },
        )
        at_least("append, one writer", one, "log", "bare sqlite3", 0.85)
