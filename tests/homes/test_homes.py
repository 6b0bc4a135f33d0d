"""What agents have on the host: sockets that open once, close wholly, and leave nothing to the next of their name."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.events.stream_store import StreamStore
from tests.sockets.client import Client
from tests.sockets.hall import hall

STREAM = {"cmd": "stream", "run": "r", "first": 0, "events": [{"type": "assistant", "data": {}}]}


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a directory that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="hh-", dir="/tmp") as directory:
        yield Path(directory)


class TestOpen:
    """An agent's socket."""

    def test_prepared_side_by_side(self, place: Path, migrated: Path) -> None:
        """Agents that are prepared at the same time, one of them twice, have one socket each, and private places."""

        async def story() -> list[int]:
            async with hall(place, migrated) as here:
                await here.desk.spawn("coder", "abel")
                specs = await asyncio.gather(*(here.homes.prepare(name, 2) for name in ("coder", "abel", "coder")))
                assert specs[0] == specs[2]
                for name in ("coder", "abel"):
                    assert (await (await here.agent(name)).ask({"cmd": "recent"}))["ok"] is True
                return [path.stat().st_mode & 0o777 for spec in specs for path in (spec.state, spec.socket_dir)]

        assert asyncio.run(story()) == [0o700] * 6

    def test_that_failed(self, place: Path, migrated: Path) -> None:
        """A socket that could not be opened is opened by the next who asks."""

        async def story() -> bool:
            async with hall(place, migrated) as here:
                await here.desk.spawn("coder")
                here.directories.create_agent("coder")
                in_the_way = here.directories.agent_sock("coder")
                in_the_way.mkdir()
                with pytest.raises(OSError, match=str(in_the_way)):
                    await here.homes.open("coder")
                in_the_way.rmdir()
                await here.homes.open("coder")
                return bool((await (await here.agent("coder")).ask({"cmd": "recent"}))["ok"])

        assert asyncio.run(story())


class TestClose:
    """An agent that is no more."""

    def test_nothing_goes_on(self, place: Path, migrated: Path) -> None:
        """Its clients are hung up on, its socket is gone, and nobody can connect."""

        async def story() -> None:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                client = await here.agent("coder")
                await client.ask({"cmd": "recent"})
                await client.send({"cmd": "recv", "wait_seconds": 180, "id": 1, "holding": [2]})
                await here.homes.close("coder")
                with pytest.raises(FileNotFoundError):
                    await here.agent("coder")
                await client.cut_off()

        asyncio.run(story())

    def test_purged_and_spawned_again(self, place: Path, migrated: Path) -> None:
        """One of the same name begins with a stream of its own, also where its predecessor spoke to the very last."""

        async def story() -> int:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                client: Client = await here.agent("coder")
                await client.ask(STREAM)
                await client.send({**STREAM, "first": 1}, {**STREAM, "first": 2, "id": 7})
                await asyncio.sleep(0)
                await here.homes.close("coder")
                await here.homes.clear("coder")
                assert not here.directories.agent_dir("coder").exists()
                await here.homes.open("coder")
                return int((await (await here.agent("coder")).ask(STREAM))["next"])

        assert asyncio.run(story()) == 1
        store = StreamStore(place / "data" / "agents" / "coder" / "hyperhive-events.sqlite")
        assert [event.number for event in store.read()] == [0]
        store.close()

    def test_clear_follows_no_link(self, place: Path, migrated: Path) -> None:
        """What an agent linked to from its state stays, and what it made hard to remove goes."""
        treasure = place / "treasure"
        treasure.mkdir()
        (treasure / "gold").write_text("gold")

        async def story() -> None:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                state = here.directories.agent_state("coder")
                (state / "link").symlink_to(treasure)
                (state / "closed").mkdir()
                (state / "closed" / "file").write_text("x")
                (state / "closed").chmod(0)
                await here.homes.close("coder")
                await here.homes.clear("coder")
                assert not here.directories.agent_dir("coder").exists()

        asyncio.run(story())
        assert (treasure / "gold").read_text() == "gold"
