"""Replay: read, decode and fold everything from position 0, against eventsourcing's mapper, which decodes and no more."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import DatetimeAsISO, JSONTranscoder, Mapper, StoredEvent, UUIDAsHex

from bench import history
from bench.figures import at_least, interleaved, median, note, number, rate, scratch
from hyperhive.events.log import read, read_only
from hyperhive.projections.hive import Hive

COUNT = 200_000
PEER = 20_000
AIM = 300_000


class Inbox(Aggregate):
    """The peer's own way of keeping mail."""

    def __init__(self, to: str) -> None:
        self.to = to
        self.bodies: list[str] = []

    @event("MessageSent")
    def send(self, sender: str, body: str) -> None:
        """Keep a message."""
        self.bodies.append(body)


def mapper() -> tuple[Mapper[Any], list[StoredEvent]]:
    """Return the peer's mapper and events that it stored."""
    transcoder = JSONTranscoder()
    transcoder.register(UUIDAsHex())
    transcoder.register(DatetimeAsISO())
    mapping: Mapper[Any] = Mapper(transcoder)
    inbox = Inbox(to="agent-1")
    for _ in range(PEER - 1):
        inbox.send(sender="operator", body="x" * 100)
    return mapping, [mapping.to_stored_event(happened) for happened in inbox.collect_events()]


def replay(connection: sqlite3.Connection) -> None:
    """Read, decode and fold everything."""
    Hive().fold_all(read(connection))


def main() -> None:
    """Measure and say."""
    with scratch() as place:
        path = place / "hive.sqlite"
        history.write(path, COUNT).close()
        connection = read_only(path)
        mapping, stored = mapper()
        found = interleaved(
            {
                "hyperhive": lambda: rate(COUNT, lambda: replay(connection)),
                "eventsourcing's mapper": lambda: rate(
                    PEER, lambda: [mapping.to_domain_event(kept) for kept in stored]
                ),
            },
        )
        at_least("replay, all projections", found, "hyperhive", "eventsourcing's mapper", 3)
        note(f"aim: {number(AIM)}/s; {'reached' if median(found['hyperhive']) >= AIM else 'not reached'}")
