"""Mail over agents' sockets: durable, at least once, to nobody twice at the same time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness import wire
from hyperhive.commands.errors import Invalid
from hyperhive.commands.messages import MAX_DELIVERIES
from hyperhive.sockets.agent import _Recv, poll_seconds
from hyperhive.sockets.requests import read
from tests.sockets.client import Client
from tests.sockets.hall import Hall, hall

Reply = dict[str, Any]

NOW: Reply = {"cmd": "recv", "wait_seconds": 0}
LATER: Reply = {"cmd": "recv", "wait_seconds": 180}


def send(to: str, body: str, **more: Any) -> Reply:
    """Return a request that sends."""
    return {"cmd": "send", "to": to, "body": body, **more}


async def emptied(client: Client) -> None:
    """Take and acknowledge what is in an inbox from the beginning: the kick of its spawn, for one."""
    while mail := (await client.ask(NOW))["messages"]:
        await client.ask({"cmd": "ack", "ids": [message["id"] for message in mail]})


async def two(here: Hall) -> tuple[Client, Client]:
    """Let coder and reviewer run, with empty inboxes, and connect to both."""
    await here.spawn("coder", "reviewer")
    coder, reviewer = await here.agent("coder"), await here.agent("reviewer")
    await emptied(coder)
    await emptied(reviewer)
    return coder, reviewer


def bodies(reply: Reply) -> list[str]:
    """Return the bodies of a recv reply."""
    return [message["body"] for message in reply["messages"]]


class TestSend:
    """Writing to somebody."""

    def test_round_trip(self, place: Path, migrated: Path) -> None:
        """What one agent sends another receives, with the id that the sender was told."""

        async def story() -> tuple[Reply, Reply]:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                return await coder.ask(send("reviewer", "please look\n🐝")), await reviewer.ask(NOW)

        sent, received = asyncio.run(story())
        assert sent == {"ok": True, "message_id": sent["message_id"]}
        assert received == {
            "ok": True,
            "messages": [
                {
                    "id": sent["message_id"],
                    "at": "2026-01-01T00:00:00.000000Z",
                    "from": "coder",
                    "body": "please look\n🐝",
                    "redelivered": False,
                },
            ],
        }

    def test_sender_is_the_sockets_owner(self, place: Path, migrated: Path) -> None:
        """Whatever a request claims, it comes from whoever owns the socket."""
        claims = {"from": "operator", "sender": "system", "actor": "operator", "name": "operator", "agent": "reviewer"}

        async def story() -> tuple[Reply, set[str]]:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                await coder.ask(send("reviewer", "trust me", **claims))
                actors = {fact.actor for fact in here.desk.log.read(1, 99) if fact.type == "MessageSent"}
                return await reviewer.ask(NOW), actors

        received, actors = asyncio.run(story())
        assert [message["from"] for message in received["messages"]] == ["coder"]
        assert actors == {"agent:coder"}

    @pytest.mark.parametrize("name", ["daemon", "agent"])
    def test_agent_named_like_a_role(self, place: Path, migrated: Path, name: str) -> None:
        """An agent that is called like a role is an agent all the same."""

        async def story() -> tuple[Reply, Reply]:
            async with hall(place, migrated) as here:
                await here.spawn(name, "coder")
                client, coder = await here.agent(name), await here.agent("coder")
                await emptied(coder)
                await client.ask(send("coder", "hello"))
                return await client.ask({"cmd": "kill", "name": "coder"}), await coder.ask(NOW)

        refused, received = asyncio.run(story())
        assert refused["code"] == "forbidden"
        assert [message["from"] for message in received["messages"]] == [name]

    @pytest.mark.parametrize(
        ("message", "code", "told"),
        [
            (send("nobody", "x"), "not_found", "no agent 'nobody'"),
            (send("../coder", "x"), "not_found", "no agent"),
            (send("system", "x"), "not_found", "no agent 'system'"),
            (send("gone", "x"), "not_found", "gone is destroyed"),
            (send("reviewer", ""), "invalid", "empty message"),
            (send("reviewer", "ö" * 32_769), "too_large", "65538 bytes"),
        ],
    )
    def test_refused(self, place: Path, migrated: Path, message: Reply, code: str, told: str) -> None:
        """A message that cannot be delivered is refused with the reason, and appears nowhere."""

        async def story() -> tuple[Reply, int]:
            async with hall(place, migrated) as here:
                coder, _ = await two(here)
                await here.spawn("gone")
                operator = await here.operator()
                await operator.ask({"cmd": "destroy", "name": "gone"})
                await here.settle("gone")
                before = here.desk.hive.position
                return await coder.ask(message), here.desk.hive.position - before

        refusal, facts = asyncio.run(story())
        assert (refusal["ok"], refusal["code"], facts) == (False, code, 0)
        assert told in refusal["error"]

    def test_largest_body(self, place: Path, migrated: Path) -> None:
        """The largest body goes through whole, also where the wire needs six bytes for each of its own."""
        body = "\x01" * wire.MAX_BODY_BYTES

        async def story() -> Reply:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                await coder.ask(send("reviewer", body))
                await coder.ask(send("reviewer", body))
                return await reviewer.ask(NOW)

        assert bodies(asyncio.run(story())) == [body, body]

    def test_same_command_id(self, place: Path, migrated: Path) -> None:
        """A send that is repeated with its id is answered as the first time, and sends nothing; ids are per sender."""

        async def story() -> tuple[list[Reply], Reply]:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                replies = [
                    await coder.ask(send("reviewer", "once", command_id="c1")),
                    await coder.ask(send("reviewer", "once", command_id="c1")),
                    await coder.ask(send("reviewer", "twice", command_id="c1")),
                    await reviewer.ask(send("reviewer", "note to self", command_id="c1")),
                ]
                return replies, await reviewer.ask(NOW)

        (first, again, other, own), received = asyncio.run(story())
        assert again == first
        assert (other["ok"], other["code"]) == (False, "conflict")
        assert own["ok"] is True
        assert bodies(received) == ["once", "note to self"]

    def test_same_command_id_after_a_restart(self, place: Path, migrated: Path) -> None:
        """Also a daemon that has just started knows which ids were answered."""

        async def story() -> tuple[Reply, Reply, list[str]]:
            async with hall(place, migrated) as here:
                coder, _ = await two(here)
                first = await coder.ask(send("reviewer", "once", command_id="c1"))
            async with hall(place, migrated) as here:
                again = await (await here.agent("coder")).ask(send("reviewer", "once", command_id="c1"))
                return first, again, bodies(await (await here.agent("reviewer")).ask(NOW))

        first, again, received = asyncio.run(story())
        assert again == first
        assert received == ["once"]


class TestPoll:
    """Waiting for mail."""

    def test_times(self) -> None:
        """A recv waits 30 seconds unless it says otherwise, and at most 180."""
        assert read({"cmd": "recv"}, _Recv).wait_seconds == 30
        assert [poll_seconds(wanted) for wanted in (0, 0.5, 30, 180, 181, 1e300)] == [0, 0.5, 30, 180, 180, 180]

    def test_negative_time(self) -> None:
        """Nobody can wait less than not at all."""
        with pytest.raises(Invalid, match="wait_seconds is -1; it is 0 to 180"):
            poll_seconds(-1)

    @pytest.mark.parametrize("seconds", [0, 0.01])
    def test_nothing_came(self, place: Path, migrated: Path, seconds: float) -> None:
        """A recv that nothing came for returns no messages, and writes no fact."""

        async def story() -> tuple[Reply, int]:
            async with hall(place, migrated) as here:
                coder, _ = await two(here)
                before = here.desk.hive.position
                return await coder.ask({"cmd": "recv", "wait_seconds": seconds}), here.desk.hive.position - before

        assert asyncio.run(story()) == ({"ok": True, "messages": []}, 0)

    def test_wakes_at_once(self, place: Path, migrated: Path) -> None:
        """A waiting recv returns when a message comes, not when its time is over."""

        async def story() -> list[str]:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                await reviewer.send(LATER)
                await coder.ask(send("reviewer", "wake up"))
                return bodies(await reviewer.reply())

        assert asyncio.run(story()) == ["wake up"]

    def test_other_requests_go_on(self, place: Path, migrated: Path) -> None:
        """While a recv with an id waits, the same connection is answered whatever else it asks."""

        async def story() -> list[Reply]:
            async with hall(place, migrated) as here:
                coder, _ = await two(here)
                await coder.send({**LATER, "id": 1})
                replies = [await coder.ask({"cmd": "recent", "limit": 1, "id": 2})]
                await coder.send(send("coder", "to myself", id=3))
                return sorted([*replies, await coder.reply(), await coder.reply()], key=lambda reply: reply["id"])

        waited, recent, sent = asyncio.run(story())
        assert (recent["id"], sent["id"], bodies(waited)) == (2, 3, ["to myself"])

    def test_several_agents_wait(self, place: Path, migrated: Path) -> None:
        """Each of many waiting agents gets its own mail and nobody else's."""
        names = [f"a{number}" for number in range(20)]

        async def story() -> list[list[str]]:
            async with hall(place, migrated) as here:
                await here.spawn(*names)
                clients = [await here.agent(name) for name in names]
                for client in clients:
                    await emptied(client)
                    await client.send(LATER)
                operator = await here.operator()
                for name in reversed(names):
                    await operator.ask({"cmd": "send", "name": name, "body": f"for {name}"})
                return [bodies(await client.reply()) for client in clients]

        assert asyncio.run(story()) == [[f"for {name}"] for name in names]

    @pytest.mark.parametrize("half_closed", [False, True])
    def test_leaving_takes_nothing(self, place: Path, migrated: Path, half_closed: bool) -> None:
        """A client that leaves in mid-poll takes no mail: what comes then is delivered for the first time later."""

        async def story() -> Reply:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                await reviewer.send(LATER)
                if half_closed:
                    reviewer.half_close()
                    await coder.ask({"cmd": "recent"})
                reviewer.leave()
                # Two round trips on, the daemon has heard of it.
                await coder.ask({"cmd": "recent"})
                await coder.ask({"cmd": "recent"})
                await coder.ask(send("reviewer", "are you there?"))
                return await (await here.agent("reviewer")).ask(NOW)

        (message,) = asyncio.run(story())["messages"]
        assert (message["body"], message["redelivered"]) == ("are you there?", False)


class TestAtLeastOnce:
    """Until a turn acknowledges a message it comes again."""

    def test_holding(self, place: Path, migrated: Path) -> None:
        """What the running turn holds does not come again meanwhile; what is new does."""

        async def story() -> list[list[str]]:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                first = await coder.ask(send("reviewer", "first"))
                received = [await reviewer.ask(NOW)]
                holding = {**NOW, "holding": [first["message_id"]]}
                received.append(await reviewer.ask(holding))
                await coder.ask(send("reviewer", "second"))
                received.append(await reviewer.ask(holding))
                return [bodies(reply) for reply in received]

        assert asyncio.run(story()) == [["first"], [], ["second"]]

    def test_acknowledged(self, place: Path, migrated: Path) -> None:
        """What is acknowledged is delivered: it never comes again, and a second ack changes nothing."""

        async def story() -> tuple[list[Reply], list[str]]:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                sent = await coder.ask(send("reviewer", "once"))
                await reviewer.ask(NOW)
                ack = {"cmd": "ack", "ids": [sent["message_id"]]}
                return [await reviewer.ask(ack), await reviewer.ask(ack)], bodies(await reviewer.ask(NOW))

        (first, second), received = asyncio.run(story())
        assert (len(first["acked"]), second["acked"], received) == (1, [], [])

    def test_ack_of_others(self, place: Path, migrated: Path) -> None:
        """Nobody acknowledges what is not its own, was never handed over, or does not exist."""

        async def story() -> tuple[Reply, list[str]]:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                sent = await coder.ask(send("reviewer", "hello"))
                ids = [sent["message_id"], 0, 1, 2**53 - 1]
                acked = [await client.ask({"cmd": "ack", "ids": ids}) for client in (coder, reviewer)]
                assert acked[0] == acked[1]
                return acked[0], bodies(await reviewer.ask(NOW))

        assert asyncio.run(story()) == ({"ok": True, "acked": []}, ["hello"])

    def test_after_a_reconnect(self, place: Path, migrated: Path) -> None:
        """A harness that died before it acknowledged is given the message again, with its id, marked."""

        async def story() -> tuple[Reply, Reply]:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                await coder.ask(send("reviewer", "hello"))
                first = await reviewer.ask(NOW)
                reviewer.leave()
                return first, await (await here.agent("reviewer")).ask(NOW)

        first, again = asyncio.run(story())
        assert again["messages"] == [{**first["messages"][0], "redelivered": True}]

    def test_after_a_restart(self, place: Path, migrated: Path) -> None:
        """A daemon that was restarted has every message that was sent, and knows which were handed over."""

        async def story() -> Reply:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                await coder.ask(send("reviewer", "handed over"))
                await reviewer.ask(NOW)
                await coder.ask(send("reviewer", "not yet"))
            async with hall(place, migrated) as here:
                return await (await here.agent("reviewer")).ask(NOW)

        received = asyncio.run(story())["messages"]
        assert [(message["body"], message["redelivered"]) for message in received] == [
            ("handed over", True),
            ("not yet", False),
        ]

    def test_parked(self, place: Path, migrated: Path) -> None:
        """A message that was handed over five times in vain is parked for the operator, and the inbox goes on."""

        async def story() -> tuple[list[list[str]], Reply, list[str]]:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                sent = await coder.ask(send("reviewer", "poison"))
                received = [bodies(await reviewer.ask(NOW)) for _ in range(MAX_DELIVERIES)]
                await coder.ask(send("reviewer", "water"))
                received.append(bodies(await reviewer.ask(NOW)))
                operator = await here.operator()
                parked = await operator.ask({"cmd": "parked"})
                await operator.ask({"cmd": "requeue", "name": "reviewer", "id": sent["message_id"]})
                return received, parked, sorted(bodies(await reviewer.ask(NOW)))

        received, parked, again = asyncio.run(story())
        assert received == [["poison"]] * 5 + [["water"]]
        assert [(row["body"], row["deliveries"]) for row in parked["messages"]] == [("poison", 5)]
        assert again == ["poison", "water"]


class TestRecent:
    """The newest of an inbox, read or not."""

    def test_newest_first(self, place: Path, migrated: Path) -> None:
        """The newest come first, with what was acknowledged long ago among them, and recent hands nothing over."""

        async def story() -> tuple[Reply, Reply]:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                for number in range(4):
                    await coder.ask(send("reviewer", str(number)))
                await emptied(reviewer)
                await coder.ask(send("reviewer", "4"))
                return await reviewer.ask({"cmd": "recent", "limit": 3}), await reviewer.ask(NOW)

        recent, received = asyncio.run(story())
        assert bodies(recent) == ["4", "3", "2"]
        assert set(recent["messages"][0]) == {"id", "at", "from", "body"}
        assert [message["redelivered"] for message in received["messages"]] == [False]

    @pytest.mark.parametrize("limit", [0, -1, 201])
    def test_limit(self, place: Path, migrated: Path, limit: int) -> None:
        """A limit that cannot be kept is refused."""

        async def story() -> Reply:
            async with hall(place, migrated) as here:
                coder, _ = await two(here)
                return await coder.ask({"cmd": "recent", "limit": limit})

        refusal = asyncio.run(story())
        assert (refusal["code"], refusal["error"]) == ("invalid", f"limit is {limit}; it is 1 to 200")

    def test_more_than_a_line(self, place: Path, migrated: Path) -> None:
        """Where the bodies do not fit one line, the oldest are left out, and the reply says how many."""

        async def story() -> Reply:
            async with hall(place, migrated) as here:
                coder, reviewer = await two(here)
                for number in range(20):
                    await coder.ask(send("reviewer", f"{number}-" + "x" * 65_000))
                return await reviewer.ask({"cmd": "recent", "limit": 20})

        recent = asyncio.run(story())
        assert len(recent["messages"]) + recent["left_out"] == 20
        assert [body.partition("-")[0] for body in bodies(recent)[:2]] == ["19", "18"]
