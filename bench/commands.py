"""Whole commands: decided, folded, mirrored into tables and durable, 64 writers at once, against recording alone.

Each writer sends an agent its mail and now and then takes and acknowledges it for the agent; every command is one
event. The peer's 64 threads only record: no decision, no view.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bench.figures import at_least, interleaved, rate, scratch
from bench.peers import BODY, Recorder
from bench.writers import WRITERS
from hyperhive.commands.agents import ReportOutcome, SpawnAgent
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.messages import AcknowledgeMail, SendMessage, TakeMail
from hyperhive.events.envelope import DAEMON, OPERATOR, actor_of_agent
from hyperhive.projections import database

EACH = 15
"""Times that each writer goes through its ten commands in a round."""
COUNT = WRITERS * EACH * 10
PEER = 40


def open_dispatcher(path: Path) -> Dispatcher:
    """Make a hive with an agent for each writer."""
    database.upgrade(path)
    log, hive = database.open_hive(path)
    dispatcher = Dispatcher(log, hive, clock=lambda: time.time_ns() // 1_000, on_failure=print)

    async def spawn(name: str) -> None:
        (asked,) = await dispatcher.dispatch(SpawnAgent(actor=OPERATOR, agent=name))
        await dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent=name, intent=asked.position))

    async def story() -> None:
        await asyncio.gather(*(spawn(f"agent-{writer}") for writer in range(WRITERS)))

    asyncio.run(story())
    return dispatcher


async def write(dispatcher: Dispatcher, name: str, times: int) -> None:
    """Send eight messages, take them, acknowledge them."""
    agent = actor_of_agent(name)
    for _ in range(times):
        for _ in range(8):
            await dispatcher.dispatch(SendMessage(actor=OPERATOR, to=name, body=BODY))
        (taken,) = await dispatcher.dispatch(TakeMail(actor=agent, to=name))
        await dispatcher.dispatch(AcknowledgeMail(actor=agent, to=name, ids=taken.event.ids))


def work(dispatcher: Dispatcher) -> None:
    """Let all writers go through a round."""

    async def story() -> None:
        await asyncio.gather(*(write(dispatcher, f"agent-{writer}", EACH) for writer in range(WRITERS)))

    asyncio.run(story())


def main() -> None:
    """Measure and say."""
    with scratch() as place:
        dispatcher, recorder = open_dispatcher(place / "hive.sqlite"), Recorder(place / "es.sqlite")
        found = interleaved(
            {
                "hyperhive": lambda: rate(COUNT, lambda: work(dispatcher)),
                "eventsourcing": lambda: rate(PEER * WRITERS, lambda: recorder.append_together(WRITERS, each=PEER)),
            },
        )
        at_least(f"whole commands, {WRITERS} writers", found, "hyperhive", "eventsourcing", 6)
