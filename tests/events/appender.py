"""A program that appends to a log without end, in batches, and prints each position once it is durable.

    python -m tests.events.appender HIVE_DB [BATCHES]

Ends with code 3 where the log is full and 4 where it failed, as a daemon would.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from hyperhive.events.envelope import DAEMON
from hyperhive.events.log import Log, LogFailed, LogFull, connect
from hyperhive.events.messages import MessageSent

BATCH = 3


def main() -> int:
    """Append until the end, or until somebody kills this process."""
    log = Log(connect(Path(sys.argv[1])))
    batches = range(int(sys.argv[2])) if len(sys.argv) > 2 else itertools.count()
    print("ready", flush=True)  # noqa: T201 - the parent reads it
    for number in batches:
        for to in ("coder", "coder", "reviewer")[:BATCH]:
            event = MessageSent(to=to, sender="operator", body=f"{number} " + "x" * 300)
            log.record(event, at=number, actor=DAEMON)
        try:
            log.commit()
        except LogFull:
            return 3
        except LogFailed:
            return 4
        print(log.head.position, flush=True)  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main())
