"""Logs with an archive, in small segments; run as a program it archives a log's file, for tests that kill it.

python -m tests.events.archived HIVE_DB UNTIL
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hyperhive.events import archiving, segment
from hyperhive.events.envelope import OPERATOR, actor_of_agent
from hyperhive.events.hive import DaemonStarted, HiveCreated
from hyperhive.events.log import Log, connect
from hyperhive.events.messages import MessageSent, MessagesHandedOver

AT = 1_767_225_600_000_000
FACTS, FRAME = 12, 5
"""In a segment, and in a frame."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let segments and their frames be small."""
    monkeypatch.setattr(segment, "FACTS", FACTS)
    monkeypatch.setattr(segment, "FRAME_FACTS", FRAME)


def write(path: Path, count: int) -> Log:
    """Fill a log with facts of several streams, a second apart."""
    log = Log(connect(path))
    log.record(HiveCreated(hive="one"), at=AT, actor=OPERATOR)
    log.record(DaemonStarted(release="7.8.9", runtime="process"), at=AT, actor=OPERATOR)
    for number in range(3, count + 1):
        to = f"a{number % 3}" if number < 20 else "late"
        at = AT + number * 1_000_000
        if number % 4:
            log.record(MessageSent(to=to, sender="operator", body=f"grüß {number} 🐝\n"), at=at, actor=OPERATOR)
        else:
            log.record(MessagesHandedOver(to=to, ids=(number,)), at=at, actor=actor_of_agent(to))
    log.commit()
    return log


def archive(path: Path, until: int, log: Log | None = None) -> int:
    """Archive up to a position; return how many segments there are more."""
    writer = log or Log(connect(path))
    count = 0
    while (kept := archiving.write(path, until)) is not None:
        writer.leave(kept)
        count += 1
    if log is None:
        writer.close()
    return count


if __name__ == "__main__":
    segment.FACTS, segment.FRAME_FACTS = FACTS, FRAME
    archive(Path(sys.argv[1]), int(sys.argv[2]))
