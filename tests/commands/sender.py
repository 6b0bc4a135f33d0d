"""A program that sends messages through a dispatcher, many at once, without end; it prints each id that is answered.

    python -m tests.commands.sender HIVE_DB

Ends with code 4 where the log has failed, as a daemon would. A full log is answered and tried again, and said.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from hyperhive.commands.agents import SpawnAgent
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Unavailable
from hyperhive.commands.messages import SendMessage, TakeMail
from hyperhive.events.envelope import OPERATOR, actor_of_agent
from hyperhive.events.log import LogFailed
from hyperhive.projections import database

WRITERS = 8


def say(text: object) -> None:
    """Tell the parent."""
    print(text, flush=True)  # noqa: T201 - the parent reads it


async def write(dispatcher: Dispatcher, number: int) -> None:
    """Send one message after the other, and take some mail."""
    for count in range(1_000_000):
        try:
            (sent,) = await dispatcher.dispatch(SendMessage(actor=OPERATOR, to="coder", body=f"{number} {count} xxx"))
            say(sent.position)
            await dispatcher.dispatch(TakeMail(actor=actor_of_agent("coder"), to="coder"))
        except Unavailable:
            say("full")


async def main(path: Path) -> int:
    """Write until the log fails, or until somebody kills this process."""
    log, hive = database.open_hive(path)
    failed = asyncio.Event()
    dispatcher = Dispatcher(log, hive, clock=lambda: 1, on_failure=lambda _: failed.set())
    say("ready")
    with contextlib.suppress(LogFailed):
        await dispatcher.dispatch(SpawnAgent(actor=OPERATOR, agent="coder"))
        await asyncio.gather(*(write(dispatcher, number) for number in range(WRITERS)))
    assert failed.is_set()
    return 4


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]))))
