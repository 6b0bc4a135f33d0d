"""What destroyed agents keep: looked for beside the hive's work, and never shown before it is known."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import attrs
import pytest

from hyperhive.commands.agents import DestroyAgent, PurgeTombstone, ReportOutcome, ReviveAgent
from hyperhive.commands.command import Command
from hyperhive.events.envelope import DAEMON, OPERATOR
from hyperhive.homes.tombstones import FRESH_SECONDS, Tombstones, look
from hyperhive.projections import views
from hyperhive.projections.views import Kept
from tests.commands.desk import Desk, run

LONG_SECONDS = 60.0


@attrs.define
class Yard:
    """A hive with agents' directories, and a clock set by hand."""

    desk: Desk
    data: Path
    now: float = 1_000.0
    stones: Tombstones = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.stones = Tombstones(self.desk.dispatcher, self.data, clock=lambda: self.now)

    def state(self, name: str) -> Path:
        """Make an agent's state directory, if need be."""
        path = self.data / "agents" / name / "state"
        path.mkdir(parents=True, exist_ok=True)
        return path

    async def done(self, command: Command, *, error: str | None = None) -> None:
        """Give a command and let its work be done."""
        (asked,) = await self.desk.dispatcher.dispatch(command)
        name = asked.event.agent
        await self.desk.dispatcher.dispatch(
            ReportOutcome(actor=DAEMON, agent=name, intent=asked.position, error=error, running=False)
        )

    async def bury(self, *names: str) -> None:
        """Let agents live and be destroyed."""
        await self.desk.spawn(*names)
        for name in names:
            self.state(name)
            await self.done(DestroyAgent(actor=OPERATOR, agent=name))

    async def look(self) -> None:
        """Look at everything that has to be looked at."""
        while await self.stones.tick():
            pass


@pytest.fixture
def yard(hive_db: Path, tmp_path: Path) -> Yard:
    """An empty yard."""
    return Yard(Desk(hive_db), tmp_path / "data")


class TestLook:
    """One look at one directory."""

    def test_what_is_kept(self, tmp_path: Path) -> None:
        """Size, the newest change, and the login to Claude."""
        state = tmp_path / "agents" / "coder" / "state"
        (state / ".claude").mkdir(parents=True)
        (state / "notes.md").write_text("x" * 100_000)
        (state / ".claude" / ".credentials.json").write_text("{}")
        for path in (state / "notes.md", state / ".claude" / ".credentials.json", state / ".claude", state):
            os.utime(path, (1_000, 1_000))
        os.utime(state / "notes.md", (2_000, 2_000))
        found = look(tmp_path, "coder")
        assert found.size_bytes >= 100_000
        assert (found.whole, found.modified_at, found.credentials) == (True, 2_000_000_000, True)

    @pytest.mark.parametrize("kind", ["absent", "empty", "a link", "behind a link", "a directory"])
    def test_no_login(self, tmp_path: Path, kind: str) -> None:
        """What is no file with something in it, or is reached through a link, is no login."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / ".credentials.json").write_text("{}")
        state = tmp_path / "agents" / "coder" / "state"
        state.mkdir(parents=True)
        if kind == "behind a link":
            (state / ".claude").symlink_to(elsewhere)
        else:
            (state / ".claude").mkdir()
        match kind:
            case "empty":
                (state / ".claude" / ".credentials.json").touch()
            case "a link":
                (state / ".claude" / ".credentials.json").symlink_to(elsewhere / ".credentials.json")
            case "a directory":
                (state / ".claude" / ".credentials.json").mkdir()
        assert look(tmp_path, "coder").credentials is False

    def test_state_that_is_a_link(self, tmp_path: Path) -> None:
        """A state directory that is a link keeps nothing: what it leads to is not the agent's."""
        elsewhere = tmp_path / "elsewhere"
        (elsewhere / ".claude").mkdir(parents=True)
        (elsewhere / ".claude" / ".credentials.json").write_text("{}")
        (tmp_path / "agents" / "coder").mkdir(parents=True)
        (tmp_path / "agents" / "coder" / "state").symlink_to(elsewhere)
        nothing = Kept(size_bytes=0, whole=True, modified_at=None, credentials=False)
        assert look(tmp_path, "coder") == nothing
        assert look(tmp_path, "nobody") == nothing

    @pytest.mark.parametrize("at", [-(2**33), 2**33 + 2**32])
    def test_times_that_an_agent_made_up(self, tmp_path: Path, at: int) -> None:
        """No time of an agent's is before 1970 or after now, so that it can be shown."""
        state = tmp_path / "agents" / "coder" / "state"
        state.mkdir(parents=True)
        os.utime(state, (at, at))
        found = look(tmp_path, "coder").modified_at
        assert found is not None
        assert 0 <= found <= time.time() * 1_000_000


class TestKnown:
    """What surfaces are shown."""

    def test_unknown_until_it_is_known(self, yard: Yard) -> None:
        """A new tombstone is shown without a size; after a look, with it."""

        async def story() -> None:
            await yard.bury("coder")
            assert yard.stones.known() == {}
            (row,) = views.tombstone_rows(yard.desk.hive, yard.stones.known())
            assert (row["name"], row["size_bytes"], row["modified_at"], row["credentials"]) == (
                "coder",
                None,
                None,
                None,
            )
            await yard.look()
            (row,) = views.tombstone_rows(yard.desk.hive, yard.stones.known())
            assert row["size_bytes"] > 0
            assert (row["credentials"], row["modified_at"][-1]) == (False, "Z")

        run(story())

    def test_only_tombstones(self, yard: Yard) -> None:
        """Who lives, or is being revived or purged, is none; who was purged is forgotten."""

        async def story() -> None:
            await yard.desk.spawn("alive")
            yard.state("alive")
            await yard.bury("coder", "old")
            await yard.look()
            assert set(yard.stones.known()) == {"coder", "old"}
            await yard.desk.dispatcher.dispatch(ReviveAgent(actor=OPERATOR, agent="coder"))
            assert set(yard.stones.known()) == {"old"}
            await yard.done(PurgeTombstone(actor=OPERATOR, agent="old"))
            await yard.look()
            assert yard.stones.known() == {}
            assert yard.stones._found == {}

        run(story())

    def test_destroyed_again(self, yard: Yard) -> None:
        """What was found of a former life is not shown of the next one."""

        async def story() -> None:
            await yard.bury("coder")
            await yard.look()
            before = yard.stones.known()["coder"].size_bytes
            yard.desk.now += 1_000_000
            await yard.done(ReviveAgent(actor=OPERATOR, agent="coder"))
            (yard.state("coder") / "more").write_bytes(os.urandom(200_000))
            await yard.done(DestroyAgent(actor=OPERATOR, agent="coder"))
            assert yard.stones.known() == {}
            await yard.look()
            assert yard.stones.known()["coder"].size_bytes > before + 190_000

        run(story())

    def test_looked_at_again_when_asked(self, yard: Yard) -> None:
        """An old finding is shown, and looked for again because somebody asked; unasked it is left alone."""

        async def story() -> None:
            await yard.bury("coder")
            await yard.look()
            first = yard.stones.known()["coder"]
            (yard.state("coder") / "by-hand").write_bytes(os.urandom(200_000))
            assert await yard.stones.tick() is False
            yard.now += FRESH_SECONDS + 1
            assert await yard.stones.tick() is False, "nobody asked"
            assert yard.stones.known()["coder"] == first
            await yard.look()
            assert yard.stones.known()["coder"].size_bytes > first.size_bytes + 190_000
            assert await yard.stones.tick() is False

        run(story())

    def test_in_the_background(self, yard: Yard) -> None:
        """While the daemon runs, whoever is destroyed is looked at without being asked."""

        async def story() -> None:
            running = asyncio.create_task(yard.stones.run())
            await yard.bury("coder", "old")
            while set(yard.stones._found) != {"coder", "old"}:  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.001)
            running.cancel()
            await asyncio.wait({running})

        run(story())

    def test_holds_nobody_up(self, yard: Yard) -> None:
        """While a large tree is counted the hive goes on; a daemon that ends does not wait for the count."""

        async def story() -> None:
            await yard.bury("coder")
            state = yard.state("coder")
            for number in range(3_000):
                (state / f"f{number}").touch()
            looking = asyncio.create_task(yard.stones.tick())
            turns = 0
            while not looking.done() and turns < 20:
                await asyncio.sleep(0)
                turns += 1
            assert turns == 20, "the loop stood still"
            looking.cancel()
            begun = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await looking
            assert time.monotonic() - begun < LONG_SECONDS / 4
            await yard.look()
            assert yard.stones.known()["coder"].whole

        asyncio.run(asyncio.wait_for(story(), LONG_SECONDS))
