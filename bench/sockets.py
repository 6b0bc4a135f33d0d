"""A program: the sockets of so many agents over a real log, as a daemon has them, with no containers behind them.

    python -m bench.sockets PLACE AGENTS

Prints a line once they are open, and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from hyperhive.commands.agents import ReportOutcome, SpawnAgent
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.config import ClaudeConfig, Directories
from hyperhive.daemon.sessions import Sessions
from hyperhive.events.envelope import DAEMON, OPERATOR
from hyperhive.homes.homes import Homes
from hyperhive.projections import database
from hyperhive.projections.history import History
from hyperhive.proposals.proposals import Proposals
from hyperhive.repositories.repositories import Repositories
from hyperhive.sockets.agent import Host
from hyperhive.sockets.streams import TurnStreams

CONNECTIONS = 64


async def main(place: Path, count: int) -> None:
    """Open everything and wait."""
    directories = Directories(data=place / "d", run=place / "r")
    directories.create()
    database.upgrade(directories.hive_db)
    log, hive = database.open_hive(directories.hive_db)
    dispatcher = Dispatcher(
        log, hive, clock=lambda: time.time_ns() // 1_000, on_failure=lambda failure: sys.exit(str(failure))
    )
    history = History(directories.hive_db)
    proposals = Proposals(dispatcher, Repositories(directories.data), history)
    sessions = Sessions(
        hive=hive, claude=ClaudeConfig(), isolates=lambda _name: True, directories=directories, rehearsal_url=None
    )
    host = Host(
        dispatcher=dispatcher,
        streams=TurnStreams(directories.stream_db),
        history=history,
        session=sessions,
        may_ask=sessions.may_ask,
        proposals=proposals,
    )
    homes = Homes(directories, host, proposals, max_connections=CONNECTIONS)
    for number in range(count):
        name = f"agent-{number}"
        (asked,) = await dispatcher.dispatch(SpawnAgent(actor=OPERATOR, agent=name))
        await dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent=name, intent=asked.position))
        await homes.open(name)
    print("open", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
