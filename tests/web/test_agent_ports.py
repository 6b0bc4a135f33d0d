"""Agents' own ports: opened with a container, closed with it, never fought for."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from hyperhive.commands.agents import DestroyAgent, KillAgent, ReportOutcome, StartAgent
from hyperhive.daemon.journal import Journal
from hyperhive.events.envelope import DAEMON, OPERATOR
from hyperhive.projections.history import History
from hyperhive.web import listener as listening
from hyperhive.web.access import AgentKeys, Keys, Person
from hyperhive.web.acts import Acts
from hyperhive.web.agent_page import AgentPage, agent_ways
from hyperhive.web.agent_ports import AgentPorts, Place
from hyperhive.web.listener import HttpServer, PortTaken, bind
from tests.commands.desk import Desk
from tests.proposals.kept import proposals_at
from tests.reactors.memory import MemoryRuntime

TOKEN = "a-token-of-the-operators"


@attrs.define
class Ports:
    """A hive's agents' ports."""

    desk: Desk
    ports: AgentPorts
    keys: AgentKeys
    numbers: dict[str, int]

    async def outcome(self, command: StartAgent | KillAgent | DestroyAgent) -> None:
        """Let something be done with a container."""
        (asked,) = await self.desk.dispatcher.dispatch(command)
        await self.desk.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent=command.agent, intent=asked.position))

    async def until(self, name: str, *, is_open: bool) -> None:
        """Wait until a port is open, or is not."""
        await until(lambda: (self.ports.origin(name, "127.0.0.1") is not None) == is_open)

    async def get(self, name: str, path: str, key: str, host: str | None = None) -> tuple[int, bytes]:
        """Ask at an agent's port."""
        port = self.numbers[name]

        def ask() -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            headers = {"Authorization": f"Bearer {key}", **({} if host is None else {"Host": host})}
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

        return await asyncio.to_thread(ask)


async def until(look: Callable[[], bool]) -> None:
    """Look again and again."""
    while not look():  # noqa: ASYNC110 - nobody else wants to know when a port is open
        await asyncio.sleep(0.005)


def free() -> int:
    """Return a port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def seated_page(desk: Desk, path: Path) -> AgentPage:
    """Return the page of agents that have no stream yet."""
    return AgentPage(
        dispatcher=desk.dispatcher,
        history=(history := History(path)),
        acts=Acts(dispatcher=desk.dispatcher, history=history, proposals=proposals_at(desk.dispatcher, path)),
        journal=Journal(hive=desk.hive, runtime=MemoryRuntime()),
        stream_file=lambda name: path.with_name(f"{name}.sqlite"),
        model=lambda _name: None,
        port=lambda _name: None,
        house="nightshift",
    )


def run(path: Path, story: Callable[[Ports], Awaitable[None]]) -> None:
    """Serve the ports of the agents coder and reviewer for the length of a story."""

    async def begin() -> None:
        desk = Desk(path)
        await desk.spawn("coder", "reviewer")
        server = HttpServer(Starlette(), await bind("127.0.0.1", 0))
        await server.open()
        numbers = {"coder": free(), "reviewer": free()}
        keys = AgentKeys(TOKEN, Keys(TOKEN, desk.hive))
        page = seated_page(desk, path)
        ports = AgentPorts(
            desk.dispatcher,
            server,
            Place(address="127.0.0.1", names=frozenset({"127.0.0.1", "localhost"})),
            ways=agent_ways(page),
            keys=keys,
            port_of=numbers.get,
        )
        following = asyncio.create_task(ports.run())
        try:
            await asyncio.wait_for(story(Ports(desk, ports, keys, numbers)), timeout=30)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await server.close()
        for port in numbers.values():
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)

    asyncio.run(begin())


def test_a_page_each(hive_db: Path) -> None:
    """Each port shows its own agent, to its own key: neither another agent's nor the hive's."""

    async def story(hive: Ports) -> None:
        for name in ("coder", "reviewer"):
            await hive.until(name, is_open=True)
        person = Person(OPERATOR)
        key, other = (hive.keys.make(name, person) for name in ("coder", "reviewer"))
        status, body = await hive.get("coder", "/api/state", key)
        assert (status, json.loads(body)["name"]) == (200, "coder")
        assert [(await hive.get("coder", "/api/state", each))[0] for each in (other, TOKEN, "")] == [401] * 3
        assert (await hive.get("coder", "/", ""))[0] == 200
        assert (await hive.get("coder", "/api/state", key, host="evil.example"))[0] == 421
        assert hive.ports.origin("coder", "localhost:7000") == f"http://localhost:{hive.numbers['coder']}"
        assert hive.ports.origin("coder", "hive.example.org") is None
        assert hive.ports.origin("nobody", "localhost:7000") is None

    run(hive_db, story)


def test_life(hive_db: Path) -> None:
    """A stopped agent's page is there still; a destroyed one's port is free for others."""

    async def story(hive: Ports) -> None:
        await hive.until("coder", is_open=True)
        await hive.outcome(KillAgent(actor=OPERATOR, agent="coder"))
        assert (await hive.get("coder", "/", ""))[0] == 200
        await hive.outcome(DestroyAgent(actor=OPERATOR, agent="coder"))
        await hive.until("coder", is_open=False)
        with socket.create_server(("127.0.0.1", hive.numbers["coder"])):
            pass
        assert (await hive.get("reviewer", "/", ""))[0] == 200

    run(hive_db, story)


def test_moved(hive_db: Path) -> None:
    """Another number in the agent's file holds from its next start on."""

    async def story(hive: Ports) -> None:
        await hive.until("coder", is_open=True)
        before, hive.numbers["coder"] = hive.numbers["coder"], free()
        await hive.outcome(KillAgent(actor=OPERATOR, agent="coder"))
        await hive.outcome(StartAgent(actor=OPERATOR, agent="coder"))
        wanted = f"http://127.0.0.1:{hive.numbers['coder']}"
        await until(lambda: hive.ports.origin("coder", "127.0.0.1") == wanted)
        with socket.create_server(("127.0.0.1", before)):
            pass

    run(hive_db, story)


def test_taken(hive_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that another program has is said in the log, held up nobody, and is tried again at the next start."""
    taken: list[socket.socket] = []

    async def bound(host: str, port: int) -> socket.socket:
        if taken and taken[0].fileno() >= 0 and port == taken[0].getsockname()[1]:
            raise PortTaken(f"{host}:{port} is in use")
        return await listening.bind(host, port)

    monkeypatch.setattr("hyperhive.web.agent_ports.bind", bound)

    async def story(hive: Ports) -> None:
        await hive.until("coder", is_open=True)
        await hive.outcome(DestroyAgent(actor=OPERATOR, agent="coder"))
        await hive.until("coder", is_open=False)
        taken.append(socket.create_server(("127.0.0.1", hive.numbers["coder"])))
        with capture_logs() as logs:
            await hive.desk.spawn("coder")
            await until(lambda: bool([line for line in logs if line["event"] == "agent_port"]))
        assert hive.ports.origin("coder", "127.0.0.1") is None
        assert (await hive.get("reviewer", "/", ""))[0] == 200
        taken[0].close()
        await hive.outcome(KillAgent(actor=OPERATOR, agent="coder"))
        await hive.until("coder", is_open=True)

    run(hive_db, story)
