"""The record in a daemon's life: what is old goes at its start, a backup is taken while it runs and gone on from."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.commands.agents import DestroyAgent, ReportOutcome
from hyperhive.commands.daemon import CreateHive
from hyperhive.commands.messages import AcknowledgeMail, SendMessage
from hyperhive.config import Directories
from hyperhive.events.envelope import DAEMON, OPERATOR
from hyperhive.events.stream_store import StreamStore
from hyperhive.keeping.backup import backup, restore
from tests.commands.desk import Desk
from tests.served import Served, place


@pytest.fixture
def served() -> Iterator[Served]:
    """A place for a daemon."""
    with place() as found:
        yield found


def long_ago(served: Served, migrated: Path) -> None:
    """Let a hive have a past: a letter that was read, one that was not, and a destroyed agent that had said much."""
    directories = Directories(data=served.data, run=served.run)
    directories.create()
    shutil.copy(migrated, served.database)
    desk = Desk(served.database)

    async def story() -> None:
        await desk.dispatcher.dispatch(CreateHive(actor=DAEMON, hive="kept"))
        (read,) = await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="operator", body="read"))
        await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="operator", body="unread"))
        await desk.dispatcher.dispatch(AcknowledgeMail(actor=OPERATOR, to="operator", ids=(read.position,)))
        await desk.spawn("gone")
        (asked,) = await desk.dispatcher.dispatch(DestroyAgent(actor=OPERATOR, agent="gone"))
        await desk.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent="gone", intent=asked.position))

    asyncio.run(story())
    desk.log.close()
    directories.create_agent("gone")
    store = StreamStore(directories.stream_db("gone"))
    store.append("r", 0, [{"type": "text"}] * 2_010)
    store.close()


def test_a_start_forgets(served: Served, migrated: Path) -> None:
    """What became old while no daemon ran goes at its start: facts say how much, and chain and views hold."""
    long_ago(served, migrated)
    served.serve()
    found = served.until(
        "both are forgotten",
        lambda: (
            facts
            if len(
                facts := [f for f in served.facts("hive-hive") if f["type"] in ("MessagesForgotten", "StreamsTrimmed")]
            )
            == 2
            else None
        ),
    )
    assert [fact["data"].get("count", fact["data"].get("events")) for fact in found] == [1, 10]
    bodies = [row["body"] for row in served.ask("inbox")["messages"]]
    assert bodies == ["unread"]
    assert '"event": "messages_forgotten"' in served.said()
    assert served.stop().code == 0
    served.verify()


def test_a_backup_of_a_daemon_at_work(served: Served, tmp_path: Path) -> None:
    """A backup that was taken while a daemon ran is gone on from by another one, which knows that it is another."""
    served.serve()
    served.ask("send", name="operator", body="before")
    file = tmp_path / "taken.sqlite"
    taken = backup(served.database, file)
    served.ask("send", name="operator", body="after")
    assert served.stop().code == 0
    done = restore(file, Directories(data=served.data, run=served.run))
    assert done.position == taken.count
    served.serve()
    assert [row["body"] for row in served.ask("inbox")["messages"]] == ["before"]
    (restored,) = [fact for fact in served.facts("hive-hive") if fact["type"] == "HiveRestored"]
    assert restored["data"] == {"epoch": done.epoch, "position": taken.count, "head": taken.head.hex()}
    assert served.stop().code == 0
    served.verify()
