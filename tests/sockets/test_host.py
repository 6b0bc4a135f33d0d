"""host.sock, version 1: every reply as other programs read it, and our own further verbs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hyperhive.commands.agents import SetPaused
from hyperhive.events.envelope import OPERATOR
from hyperhive.projections.agents import Transient
from tests.sockets.client import Client, until
from tests.sockets.hall import Hall, hall

Reply = dict[str, Any]

OK = b'{"version":1,"ok":true,"error":null}\n'
ROW = (
    b'{"name":"coder","running":%b,"failed":%b,"needs_update":false,"needs_login":%b,"paused":%b,"parent":"manager",'
    b'"deployed_sha":null,"active_model":%b,"status_text":%b,"status_set_at":%b,"url":null,'
)
"""A row's fields of version 1, in the order that it promises; ours follow."""

REFUSED: dict[str, tuple[Reply, str, str]] = {
    "no command": ({}, "invalid", "no command 'None' here; there are: list, agent_status"),
    "an agent's command": ({"cmd": "recv"}, "invalid", "no command 'recv' here"),
    "an empty scope": (
        {"cmd": "start", "scope": {"agent_names": []}},
        "invalid",
        'the scope is empty; name the agents: {"agent_names":["coder"]}',
    ),
    "no scope": ({"cmd": "stop"}, "invalid", "the scope is empty"),
    "a scope that is a list": ({"cmd": "stop", "scope": ["coder"]}, "invalid", "at `$.scope`"),
    "a scope of numbers": ({"cmd": "start", "scope": {"agent_names": [1]}}, "invalid", "at `$.scope.agent_names[0]`"),
    "graceful that is no boolean": (
        {"cmd": "stop", "scope": {"agent_names": ["coder"]}, "graceful": "yes"},
        "invalid",
        "at `$.graceful`",
    ),
    "start of nobody": ({"cmd": "start", "scope": {"agent_names": ["nobody"]}}, "not_found", "no agent 'nobody'"),
    "restart of nobody": ({"cmd": "restart", "name": "nobody"}, "not_found", "no agent 'nobody'; there are: coder"),
    "restart without a name": ({"cmd": "restart"}, "invalid", "missing required field `name`"),
    "spawn of what is there": ({"cmd": "spawn", "name": "coder"}, "conflict", "coder exists already"),
    "spawn of a bad name": ({"cmd": "spawn", "name": "../x"}, "invalid", "'../x' is not an agent's name"),
    "spawn of the operator": ({"cmd": "spawn", "name": "operator"}, "invalid", "'operator' is taken"),
    "logs of nobody": ({"cmd": "logs", "name": "../../etc"}, "not_found", "no agent '../../etc'"),
    "login of nobody": ({"cmd": "login", "name": "nobody"}, "not_found", "no agent 'nobody'"),
    "an inbox of none": ({"cmd": "inbox", "limit": 0}, "invalid", "limit is 0; it is 1 to 1000"),
    "a requeue of what is not there": ({"cmd": "requeue", "name": "coder", "id": 99}, "not_found", "message 99"),
    "an impossible id": ({"cmd": "requeue", "name": "coder", "id": 2**64}, "invalid", "at `$.id`"),
    "an answer to an impossible question": ({"cmd": "answer", "id": 2**64}, "invalid", "at `$.id`"),
    "a send to nobody": ({"cmd": "send", "name": "nobody", "body": "x"}, "not_found", "no agent 'nobody'"),
}


async def line(here: Hall, request: Reply) -> bytes:
    """Ask on a connection of its own, as programs do, and return the reply's bytes."""
    client = await here.operator()
    await client.send(request)
    return await client.line()


class TestVersion1:
    """The verbs that other programs speak already."""

    def test_list(self, place: Path, migrated: Path) -> None:
        """The names, the manager's first."""

        async def story() -> bytes:
            async with hall(place, migrated) as here:
                await here.spawn("coder", "manager", "abel")
                return await line(here, {"cmd": "list"})

        assert asyncio.run(story()) == (b'{"version":1,"ok":true,"error":null,"agents":["manager","abel","coder"]}\n')

    def test_list_of_nobody(self, place: Path, migrated: Path) -> None:
        """An empty hive has an empty list."""

        async def story() -> bytes:
            async with hall(place, migrated) as here:
                return await line(here, {"cmd": "list"})

        assert asyncio.run(story()) == b'{"version":1,"ok":true,"error":null,"agents":[]}\n'

    def test_agent_status(self, place: Path, migrated: Path) -> None:
        """A row for each agent, its fields in the promised order."""

        async def story() -> list[bytes]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                found = [await line(here, {"cmd": "agent_status"})]
                coder = await here.agent("coder")
                for event in (
                    {"kind": "status", "status": "thinking", "text": "hm"},
                    {"kind": "model_changed", "model": "opus"},
                    {"kind": "needs_login"},
                ):
                    await coder.ask({"cmd": "report", "event": event})
                found.append(await line(here, {"cmd": "agent_status"}))
                await here.desk.dispatcher.dispatch(SetPaused(actor=OPERATOR, agent="coder", paused=True))
                await line(here, {"cmd": "kill", "name": "coder"})
                await here.settle("coder", error="it would not", running=False)
                return [*found, await line(here, {"cmd": "agent_status"})]

        head = b'{"version":1,"ok":true,"error":null,"agent_statuses":['
        fresh, busy, stopped = asyncio.run(story())
        assert fresh.startswith(head + ROW % (b"true", b"false", b"false", b"false", b"null", b'"idle"', b"null"))
        at = b'"2026-01-01T00:00:00.000000Z"'
        assert busy.startswith(head + ROW % (b"true", b"false", b"true", b"false", b'"opus"', b'"hm"', at))
        assert stopped.startswith(head + ROW % (b"false", b"true", b"true", b"true", b'"opus"', b"null", b"null"))

    @pytest.mark.parametrize(
        ("request_", "transient"),
        [
            ({"cmd": "stop", "scope": {"agent_names": ["coder"]}, "graceful": False}, Transient.STOPPING),
            ({"cmd": "stop", "scope": {"agent_names": ["coder"]}}, Transient.STOPPING),
            ({"cmd": "restart", "name": "coder"}, Transient.RESTARTING),
        ],
    )
    def test_acts(self, place: Path, migrated: Path, request_: Reply, transient: Transient) -> None:
        """A verb is answered once its intent is in the log, and asking again is as good."""

        async def story() -> tuple[bytes, bytes, object, bool]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                replies = await line(here, request_), await line(here, request_)
                coder = here.desk.loaded().agents["coder"]
                return *replies, coder.pending, coder.graceful

        graceful = request_.get("graceful", True)
        assert asyncio.run(story()) == (OK, OK, transient, graceful)

    def test_start(self, place: Path, migrated: Path) -> None:
        """A start of several starts each that is stopped, and one that runs stays as it is."""

        async def story() -> tuple[bytes, list[object]]:
            async with hall(place, migrated) as here:
                await here.spawn("coder", "abel")
                await line(here, {"cmd": "kill", "name": "coder"})
                await here.settle("coder")
                reply = await line(here, {"cmd": "start", "scope": {"agent_names": ["coder", "abel", "coder"]}})
                return reply, [here.desk.hive.agents[name].pending for name in ("coder", "abel")]

        assert asyncio.run(story()) == (OK, [Transient.STARTING, None])

    @pytest.mark.parametrize("other", ["nobody", "busy"])
    def test_all_or_none(self, place: Path, migrated: Path, other: str) -> None:
        """Where one of a scope cannot be stopped, none is."""

        async def story() -> tuple[bytes, object]:
            async with hall(place, migrated) as here:
                await here.spawn("coder", "busy")
                await line(here, {"cmd": "restart", "name": "busy"})
                reply = await line(here, {"cmd": "stop", "scope": {"agent_names": ["coder", other]}})
                return reply, here.desk.hive.agents["coder"].pending

        reply, pending = asyncio.run(story())
        assert reply.startswith(b'{"version":1,"ok":false,"error":"')
        assert pending is None

    def test_empty_scope(self, place: Path, migrated: Path) -> None:
        """An empty scope is an error: nobody means everybody by it."""

        async def story() -> bytes:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                return await line(here, {"cmd": "stop", "scope": {"agent_names": []}, "graceful": True})

        assert asyncio.run(story()) == (
            b'{"version":1,"ok":false,"error":"the scope is empty; name the agents: {\\"agent_names\\":[\\"coder\\"]}",'
            b'"code":"invalid"}\n'
        )

    def test_urls(self, place: Path, migrated: Path) -> None:
        """Where the dashboard is."""

        async def story() -> bytes:
            async with hall(place, migrated) as here:
                return await line(here, {"cmd": "urls"})

        assert asyncio.run(story()) == (
            b'{"version":1,"ok":true,"error":null,"urls":{"domain":null,"home":"http://127.0.0.1:7000/"}}\n'
        )

    def test_pending(self, place: Path, migrated: Path) -> None:
        """What waits for the operator: nothing, in a hive where nobody asked."""

        async def story() -> bytes:
            async with hall(place, migrated) as here:
                return await line(here, {"cmd": "pending"})

        assert asyncio.run(story()) == b'{"version":1,"ok":true,"error":null,"approvals":[]}\n'

    @pytest.mark.parametrize("name", REFUSED)
    def test_refused(self, place: Path, migrated: Path, name: str) -> None:
        """Every refusal has the same shape, a code, and a text that says what is wrong; nothing follows from it."""
        request, code, told = REFUSED[name]

        async def story() -> tuple[Reply, int]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                before = here.desk.hive.position
                return await (await here.operator()).ask(request), here.desk.hive.position - before

        reply, facts = asyncio.run(story())
        assert list(reply) == ["version", "ok", "error", "code"]
        assert (reply["version"], reply["ok"], reply["code"], facts) == (1, False, code, 0)
        assert told in reply["error"]


class TestSubscribe:
    """Being told of what changes."""

    async def subscriber(self, here: Hall) -> Client:
        """Subscribe, and wait for the answer."""
        client = await here.operator()
        await client.send({"cmd": "subscribe_agent_status"})
        assert await client.line() == OK
        return client

    def test_changes(self, place: Path, migrated: Path) -> None:
        """A bare ok first, then one reply with one row for each agent that changed."""

        async def story() -> list[Reply]:
            async with hall(place, migrated) as here:
                await here.spawn("coder", "abel")
                subscriber = await self.subscriber(here)
                await line(here, {"cmd": "stop", "scope": {"agent_names": ["coder", "abel"]}})
                replies = [await subscriber.reply(), await subscriber.reply()]
                await here.settle("abel")
                return [*replies, await subscriber.reply()]

        replies = asyncio.run(story())
        assert [list(reply) for reply in replies] == [["version", "ok", "error", "agent_statuses"]] * 3
        rows = [row for reply in replies for row in reply["agent_statuses"]]
        assert [(row["name"], row["pending"], row["running"]) for row in rows] == [
            ("coder", "stopping", True),
            ("abel", "stopping", True),
            ("abel", None, False),
        ]

    def test_mail_changes_a_row(self, place: Path, migrated: Path) -> None:
        """A row counts undelivered mail, so mail is a change, too."""

        async def story() -> Reply:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                subscriber = await self.subscriber(here)
                await line(here, {"cmd": "send", "name": "coder", "body": "hello"})
                return await subscriber.reply()

        (row,) = asyncio.run(story())["agent_statuses"]
        assert (row["name"], row["undelivered"]) == ("coder", 2)

    def test_slow_subscriber(self, place: Path, migrated: Path) -> None:
        """A subscriber that does not read is cut off and forgotten; others, and the hive, do not wait for it."""

        async def story() -> tuple[Reply, int]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                coder = await here.agent("coder")
                slow, quick = await self.subscriber(here), await self.subscriber(here)
                slow.stop_reading()
                listeners = here.desk.dispatcher._listeners
                told: Reply = {}
                count = 0
                while len(listeners) == 2:
                    event = {"kind": "status", "status": "thinking", "text": f"{count}-" + "x" * 16_000}
                    assert (await coder.ask({"cmd": "report", "event": event}))["ok"] is True
                    told = await quick.reply()
                    count += 1
                    assert count < 20_000, "a client that never reads was never cut off"
                slow.read_on()
                await slow.cut_off()
                return told, len(listeners)

        told, listeners = asyncio.run(story())
        assert told["agent_statuses"][0]["status"] == "thinking"
        assert listeners == 1

    def test_leaving(self, place: Path, migrated: Path) -> None:
        """A subscriber that leaves is forgotten."""

        async def story() -> None:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                subscriber = await self.subscriber(here)
                subscriber.leave()
                await until(lambda: not here.desk.dispatcher._listeners)

        asyncio.run(story())


class TestOurVerbs:
    """What our own command line says besides."""

    def test_inbox(self, place: Path, migrated: Path) -> None:
        """The operator's inbox shows the newest, the oldest of them first, and which of them were read."""

        async def story() -> list[list[tuple[str, bool]]]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                coder, operator = await here.agent("coder"), await here.operator()
                for number in range(4):
                    await coder.ask({"cmd": "send", "to": "operator", "body": str(number)})
                found = [await operator.ask({"cmd": "inbox", "limit": 3})]
                ids = [message["id"] for message in found[0]["messages"]]
                await operator.ask({"cmd": "read", "ids": ids[1:]})
                found.append(await operator.ask({"cmd": "inbox"}))
                found.append(await operator.ask({"cmd": "inbox", "limit": 1, "unread": True}))
                return [[(message["body"], message["read"]) for message in reply["messages"]] for reply in found]

        assert asyncio.run(story()) == [
            [("1", False), ("2", False), ("3", False)],
            [("0", False), ("1", False), ("2", True), ("3", True)],
            [("1", False)],
        ]

    def test_inbox_over_a_line(self, place: Path, migrated: Path) -> None:
        """However much agents write, the operator can read: the newest that fit, and how many were left out."""

        async def story() -> Reply:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                coder, operator = await here.agent("coder"), await here.operator()
                for number in range(20):
                    await coder.ask({"cmd": "send", "to": "operator", "body": f"{number}-" + "x" * 65_000})
                return await operator.ask({"cmd": "inbox"})

        reply = asyncio.run(story())
        assert reply["messages"][-1]["body"].startswith("19-")
        assert (len(reply["messages"]) + reply["left_out"], reply["ok"]) == (20, True)

    def test_same_command_id(self, place: Path, migrated: Path) -> None:
        """A send that the operator repeats for lack of an answer is one message."""
        request = {"cmd": "send", "name": "coder", "body": "hello", "command_id": "c1"}

        async def story() -> list[Reply]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                operator = await here.operator()
                return [await operator.ask(request), await operator.ask(request)]

        first, again = asyncio.run(story())
        assert first == again
        assert first["ok"] is True

    @pytest.mark.parametrize(
        ("request_", "found"),
        [
            ({"cmd": "logs", "name": "coder"}, {"logs": {"path": "/logs/coder"}}),
            ({"cmd": "login", "name": "coder"}, {"argv": ["/usr/bin/env", "claude", "coder"]}),
        ],
    )
    def test_places(self, place: Path, migrated: Path, request_: Reply, found: Reply) -> None:
        """Where an agent's output lies, and how to log it in."""

        async def story() -> Reply:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                return await (await here.operator()).ask(request_)

        assert asyncio.run(story()) == {"version": 1, "ok": True, "error": None, **found}

    def test_spawn_and_destroy(self, place: Path, migrated: Path) -> None:
        """A spawned agent is listed while it is made; a destroyed one is not, and leaves a tombstone."""

        async def story() -> list[Reply]:
            async with hall(place, migrated) as here:
                operator = await here.operator()
                await operator.ask({"cmd": "spawn", "name": "coder"})
                found = [await operator.ask({"cmd": "list"})]
                await here.settle("coder")
                await operator.ask({"cmd": "destroy", "name": "coder"})
                await here.settle("coder")
                return [*found, await operator.ask({"cmd": "list"}), await operator.ask({"cmd": "state"})]

        spawned, destroyed, state = asyncio.run(story())
        assert (spawned["agents"], destroyed["agents"]) == (["coder"], [])
        assert [row["name"] for row in state["state"]["tombstones"]] == ["coder"]

    def test_mode(self, place: Path, migrated: Path) -> None:
        """Both are for their owner and group; into an agent's directory nobody but the owner gets."""

        async def story() -> list[int]:
            async with hall(place, migrated) as here:
                await here.spawn("coder")
                agent = here.directories.agent_sock("coder")
                found = (here.directories.host_sock, agent, agent.parent)
                return [path.stat().st_mode & 0o777 for path in found]

        assert asyncio.run(story()) == [0o660, 0o660, 0o700]
