"""host.sock: the verbs of lifecycle byte for byte, and what bad names and bad moments get from each."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hyperhive.projections.agents import State, Transient
from hyperhive.projections.freeze import freeze_of
from tests.sockets.hall import Hall, hall
from tests.sockets.test_host import OK, ROW, line

Request = dict[str, Any]

NAMED = ("restart", "lift", "interrupt", "kill", "rebuild", "destroy", "logs", "login")
"""Verbs with a name that say only whether they were accepted."""
STONES = ("revive", "purge_tombstone")
UNKNOWN = ("nobody", "..", "../coder", "-x", "x\ny", "x" * 61, "", "CODER", "coder ", "\u0000", "operator")


def asking(verb: str, name: str) -> Request:
    """Return the request of a verb for one agent."""
    match verb:
        case "start" | "stop":
            return {"cmd": verb, "scope": {"agent_names": [name]}}
        case "set_paused":
            return {"cmd": verb, "name": name, "paused": True}
        case _:
            return {"cmd": verb, "name": name}


def refusal(reply: bytes) -> bytes:
    """Return a refusal's code; fail where it is none."""
    assert reply.startswith(b'{"version":1,"ok":false,"error":"'), reply
    return reply.rpartition(b'"code":"')[2].removesuffix(b'"}\n')


async def bury(here: Hall, name: str) -> None:
    """Let an agent be destroyed."""
    await here.spawn(name)
    await line(here, {"cmd": "destroy", "name": name})
    await here.settle(name)


def on_disk(place: Path) -> list[str]:
    """Return everything that lies below a place, but what the database needs for itself."""
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if "hive.sqlite" not in path.name)


class TestBytes:
    """What programs read."""

    def test_whole_row(self, place: Path, migrated: Path) -> None:
        """A row with all of its fields: those of version 1 first, in its order, then ours."""

        async def story() -> bytes:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                return await line(here, {"cmd": "agent_status"})

        at = b'"2026-01-01T00:00:00.000000Z"'
        assert asyncio.run(story()) == (
            b'{"version":1,"ok":true,"error":null,"agent_statuses":['
            + ROW % (b"true", b"false", b"false", b"false", b"null", b'"idle"', b"null")
            + b'"state":"running","pending":null,"pending_at":null,"since":%b,"generation":1,"quarantined":false,' % at
            + b'"status":"idle","error":null,"turns":0,"failed_turns":0,"cost_usd":0.0,'
            b'"tokens":{"input":0,"output":0,"cache_read":0,"cache_creation":0},"undelivered":1,"failed_servers":[],"refused_sends":0,"spent_usd":0.0,'
            b'"spent_day":"1970-01-01","usd_per_day":null,"model":null,"runtime":null,"blocked_hosts":[]}],'
            b'"transients":[],"frozen":false}\n'
        )

    def test_transients(self, place: Path, migrated: Path) -> None:
        """An agent that has no container yet has no row; it stands among the transients, with what went wrong."""

        async def story() -> tuple[bytes, bytes]:
            async with hall(place, migrated) as here:
                await line(here, {"cmd": "spawn", "name": "coder"})
                spawning = await line(here, {"cmd": "agent_status"})
                await here.settle("coder", error="no bwrap")
                return spawning, await line(here, {"cmd": "agent_status"})

        head = b'{"version":1,"ok":true,"error":null,"agent_statuses":[],"transients":[{"name":"coder",'
        spawning, failed = asyncio.run(story())
        assert spawning == head + (
            b'"pending":"spawning","pending_at":"2026-01-01T00:00:00.000000Z","failed":false,"error":null}],'
            b'"frozen":false}\n'
        )
        assert failed == head + (
            b'"pending":null,"pending_at":null,"failed":true,"error":"no bwrap"}],"frozen":false}\n'
        )

    def test_set_paused(self, place: Path, migrated: Path) -> None:
        """It is idempotent, it works on a stopped container, and the row shows it."""

        async def story() -> tuple[list[bytes], list[bool], int]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                await line(here, asking("kill", "coder"))
                await here.settle("coder")
                before = here.desk.hive.position
                replies, shown = [], []
                for paused in (True, True, False, False):
                    replies.append(await line(here, {"cmd": "set_paused", "name": "coder", "paused": paused}))
                    shown.append(here.desk.loaded().agents["coder"].paused)
                return replies, shown, here.desk.hive.position - before

        assert asyncio.run(story()) == ([OK] * 4, [True, True, False, False], 2)

    def test_set_model(self, place: Path, migrated: Path) -> None:
        """It is idempotent, the row shows it, the next session follows it; without a ``model`` it is no request."""

        async def story() -> tuple[list[bytes], list[object], bytes, bytes]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                harness = await here.agent("coder")
                replies, asked = [], []
                for model in ("opus", "opus", None):
                    replies.append(await line(here, {"cmd": "set_model", "name": "coder", "model": model}))
                    asked.append((await harness.ask({"cmd": "session"}))["model"])
                bare = await line(here, {"cmd": "set_model", "name": "coder"})
                return replies, asked, bare, await line(here, {"cmd": "set_model", "name": "coder", "model": "-p"})

        replies, asked, bare, option = asyncio.run(story())
        assert (replies, asked) == ([OK] * 3, ["opus", "opus", None])
        assert (refusal(bare), refusal(option)) == (b"invalid", b"invalid")

    def test_freeze_and_thaw(self, place: Path, migrated: Path) -> None:
        """The whole hive at once; again is as good."""

        async def story() -> tuple[list[bytes], list[bool], bytes]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                replies, frozen = [], []
                for verb in ("freeze", "freeze", "thaw", "thaw", "freeze"):
                    replies.append(await line(here, {"cmd": verb}))
                    frozen.append(freeze_of(here.desk.loaded().freeze).frozen)
                return replies, frozen, await line(here, {"cmd": "agent_status"})

        replies, frozen, status = asyncio.run(story())
        assert (replies, frozen) == ([OK] * 5, [True, True, False, False, True])
        assert status.endswith(b'"transients":[],"frozen":true}\n')

    @pytest.mark.parametrize("verb", ["lift", "interrupt"])
    def test_what_is_so_already(self, place: Path, migrated: Path, verb: str) -> None:
        """To lift no quarantine, to interrupt no turn, is a bare ok."""

        async def story() -> bytes:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                return await line(here, asking(verb, "coder"))

        assert asyncio.run(story()) == OK

    @pytest.mark.parametrize("verb", ["approve", "deny"])
    def test_approvals(self, place: Path, migrated: Path, verb: str) -> None:
        """An approval that is not there is not found, by its number; one that cannot be is invalid."""

        async def story() -> tuple[bytes, bytes]:
            async with hall(place, migrated) as here:
                return await line(here, {"cmd": verb, "id": 42}), await line(here, {"cmd": verb, "id": -1})

        missing, impossible = asyncio.run(story())
        assert missing == b'{"version":1,"ok":false,"error":"no approval 42","code":"not_found"}\n'
        assert refusal(impossible) == b"invalid"

    def test_tombstones(self, place: Path, migrated: Path) -> None:
        """A destroyed agent with what is known of it; nothing is known here, where nobody looks."""

        async def story() -> tuple[bytes, bytes]:
            async with hall(place, migrated) as here:
                none = await line(here, {"cmd": "tombstones"})
                await bury(here, "coder")
                return none, await line(here, {"cmd": "tombstones"})

        none, one = asyncio.run(story())
        assert none == b'{"version":1,"ok":true,"error":null,"tombstones":[]}\n'
        assert one == (
            b'{"version":1,"ok":true,"error":null,"tombstones":[{"name":"coder","since":"2026-01-01T00:00:00.000000Z",'
            b'"size_bytes":null,"size_whole":null,"modified_at":null,"credentials":null,"error":null}]}\n'
        )

    @pytest.mark.parametrize(
        ("verb", "pending", "purge"),
        [("revive", Transient.SPAWNING, False), ("purge_tombstone", Transient.DESTROYING, True)],
    )
    def test_of_tombstones(self, place: Path, migrated: Path, *, verb: str, pending: Transient, purge: bool) -> None:
        """It is answered once its intent is in the log, and asking again is as good."""

        async def story() -> tuple[bytes, bytes, object, object, bool]:
            async with hall(place, migrated) as here:
                await bury(here, "coder")
                replies = await line(here, asking(verb, "coder")), await line(here, asking(verb, "coder"))
                coder = here.desk.loaded().agents["coder"]
                return *replies, coder.state, coder.pending, coder.purge

        assert asyncio.run(story()) == (OK, OK, State.DESTROYED, pending, purge)


class TestBadNames:
    """Names that nobody has: each verb says so, and nothing follows, neither in the log nor on disk."""

    @pytest.mark.parametrize("verb", [*NAMED, *STONES, "start", "stop", "set_paused"])
    def test_unknown(self, place: Path, migrated: Path, verb: str) -> None:
        """Whatever it looks like, it is not found."""

        async def story() -> None:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                facts, files = here.desk.hive.position, on_disk(place)
                for name in UNKNOWN:
                    assert refusal(await line(here, asking(verb, name))) == b"not_found", name
                assert (here.desk.hive.position, on_disk(place)) == (facts, files)

        asyncio.run(story())

    def test_spawn(self, place: Path, migrated: Path) -> None:
        """What is no name, or is taken, makes no agent."""

        async def story() -> None:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                facts, files = here.desk.hive.position, on_disk(place)
                for name in set(UNKNOWN) - {"nobody"}:
                    assert refusal(await line(here, asking("spawn", name))) == b"invalid", name
                assert refusal(await line(here, asking("spawn", "coder"))) == b"conflict"
                assert (here.desk.hive.position, on_disk(place)) == (facts, files)
                assert await line(here, asking("spawn", "x" * 60)) == OK

        asyncio.run(story())

    def test_of_another_kind(self, place: Path, migrated: Path) -> None:
        """A name that is no text, or is missing, is invalid."""

        async def story() -> None:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                facts = here.desk.hive.position
                for verb in (*NAMED, *STONES, "set_paused"):
                    for request in ({"cmd": verb}, {"cmd": verb, "name": 7}, {"cmd": verb, "name": ["coder"]}):
                        assert refusal(await line(here, request)) == b"invalid", request
                assert refusal(await line(here, {"cmd": "set_paused", "name": "coder"})) == b"invalid"
                assert refusal(await line(here, {"cmd": "set_paused", "name": "coder", "paused": 1})) == b"invalid"
                assert here.desk.hive.position == facts

        asyncio.run(story())


class TestBadMoments:
    """Names of agents that something is done to, and of those that are no more."""

    @pytest.mark.parametrize(
        ("under_way", "conflicts"),
        [
            ("kill", ["restart", "rebuild", "destroy", "start", "purge_tombstone", "revive", "spawn"]),
            ("restart", ["kill", "stop", "rebuild", "destroy", "start", "purge_tombstone", "revive", "spawn"]),
            ("rebuild", ["kill", "stop", "restart", "destroy", "start", "purge_tombstone", "revive", "spawn"]),
            ("destroy", ["kill", "stop", "restart", "rebuild", "start", "purge_tombstone", "revive", "spawn"]),
        ],
    )
    def test_in_a_transient(self, place: Path, migrated: Path, under_way: str, conflicts: list[str]) -> None:
        """Another verb is a conflict that names what is under way or in the way, and nothing follows."""

        async def story() -> None:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                assert await line(here, asking(under_way, "coder")) == OK
                facts = here.desk.hive.position
                for verb in conflicts:
                    assert refusal(await line(here, asking(verb, "coder"))) == b"conflict", verb
                assert here.desk.hive.position == facts

        asyncio.run(story())

    def test_while_spawning(self, place: Path, migrated: Path) -> None:
        """An agent that is being made can only be waited for."""

        async def story() -> None:
            async with hall(place, migrated) as here:
                await line(here, asking("spawn", "coder"))
                facts = here.desk.hive.position
                for verb in ("kill", "stop", "restart", "rebuild", "destroy", "start", "purge_tombstone"):
                    assert refusal(await line(here, asking(verb, "coder"))) == b"conflict", verb
                assert refusal(await line(here, asking("revive", "coder"))) == b"not_found"
                assert here.desk.hive.position == facts

        asyncio.run(story())

    def test_destroyed(self, place: Path, migrated: Path) -> None:
        """Of a destroyed agent there is nothing but its tombstone."""

        async def story() -> None:
            async with hall(place, migrated) as here:
                await bury(here, "coder")
                facts = here.desk.hive.position
                for verb in ("restart", "kill", "rebuild", "destroy", "start", "stop", "set_paused", "lift", "login"):
                    assert refusal(await line(here, asking(verb, "coder"))) == b"not_found", verb
                assert here.desk.hive.position == facts

        asyncio.run(story())

    @pytest.mark.parametrize("stopped", [False, True])
    def test_purge_of_a_live_one(self, place: Path, migrated: Path, *, stopped: bool) -> None:
        """While a container of the name lives, running or not, what it has is not wiped."""

        async def story() -> bytes:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                if stopped:
                    await line(here, asking("kill", "coder"))
                    await here.settle("coder")
                return await line(here, asking("purge_tombstone", "coder"))

        assert asyncio.run(story()) == (
            b'{"version":1,"ok":false,"error":"coder lives; destroy it first","code":"conflict"}\n'
        )
