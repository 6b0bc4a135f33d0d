"""Reports on an agent's socket that say which container they come from."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.sockets.hall import Hall, hall

Reply = dict[str, Any]


def report(kind: str, generation: object, **fields: Any) -> Reply:
    """Return a report of a container's generation."""
    return {"cmd": "report", "generation": generation, "event": {"kind": kind, **fields}}


async def restarted(here: Hall) -> None:
    """Let coder run in its second generation."""
    await here.spawn("coder")
    await (await here.operator()).ask({"cmd": "restart", "name": "coder"})
    await here.settle("coder")


class TestLate:
    """A harness that outlived its container's replacement."""

    def test_is_dropped(self, place: Path, migrated: Path) -> None:
        """The reply is ok and says that it was dropped, also when asked again; nothing is appended, nothing delivered.

        The same words from the present container count.
        """

        async def story() -> tuple[list[Reply], int, Reply, int]:
            async with hall(place, migrated) as here:
                await restarted(here)
                client = await here.agent("coder")
                ids = [mail["id"] for mail in (await client.ask({"cmd": "recv", "wait_seconds": 0}))["messages"]]
                before = here.desk.hive.position
                late = {**report("turn_ended", 1, ok=True, ack=ids), "command_id": "t1"}
                dropped = [await client.ask(late), await client.ask(late)]
                appended = here.desk.hive.position - before
                in_time = await client.ask({**report("turn_ended", 2, ok=True, ack=ids), "command_id": "t2"})
                return dropped, appended, in_time, len(here.desk.hive.messages.group("coder"))

        assert asyncio.run(story()) == ([{"ok": True, "dropped": True}] * 2, 0, {"ok": True}, 0)

    def test_nothing_new_is_not_dropped(self, place: Path, migrated: Path) -> None:
        """A report that says what is known already is heard, although no fact follows."""

        async def story() -> list[Reply]:
            async with hall(place, migrated) as here:
                await restarted(here)
                client = await here.agent("coder")
                known = report("status", 2, status="waiting")
                return [await client.ask(known), await client.ask(known)]

        assert asyncio.run(story()) == [{"ok": True}, {"ok": True}]

    @pytest.mark.parametrize("generation", ["1", -1, 1.5, True, 2**53])
    def test_what_is_no_generation(self, place: Path, migrated: Path, generation: object) -> None:
        """A generation is a whole number; anything else is refused with the field's name."""

        async def story() -> Reply:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                return await (await here.agent("coder")).ask(report("status", generation, status="idle"))

        refusal = asyncio.run(story())
        assert (refusal["ok"], refusal["code"]) == (False, "invalid")
        assert "at `$.generation`" in refusal["error"]
