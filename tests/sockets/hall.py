"""The sockets of a whole hive over a real dispatcher and a real file, with no runtime behind them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from hyperhive.commands.agents import ReportOutcome
from hyperhive.commands.errors import Invalid
from hyperhive.config import ClaudeConfig, Directories
from hyperhive.daemon.archivist import Archivist
from hyperhive.daemon.sessions import Sessions
from hyperhive.events.envelope import DAEMON
from hyperhive.homes.homes import Homes
from hyperhive.projections.history import History
from hyperhive.proposals.proposals import Proposals
from hyperhive.reactors.applier import Applier
from hyperhive.repositories.repositories import Repositories
from hyperhive.sockets import host as host_socket
from hyperhive.sockets.agent import Host
from hyperhive.sockets.lines import LineServer, Protocol
from hyperhive.sockets.streams import TurnStreams
from tests.commands.desk import Desk
from tests.sockets.client import Client

HOME_URL = "http://127.0.0.1:7000/"


class Doors:
    """Links of a site that nobody serves."""

    def home_link(self, key: str | None = None) -> str:
        """Return a link to it."""
        return f"{HOME_URL}#login={key or 'token'}"

    def agent_link(self, name: str) -> str:
        """Return a link to an agent's page."""
        return f"{HOME_URL}agent/{name}/#login=token"


@attrs.frozen
class Hall:
    """A daemon's sockets, and the desk behind them."""

    directories: Directories
    desk: Desk
    homes: Homes
    proposals: Proposals
    applier: Applier

    async def agent(self, name: str) -> Client:
        """Connect to an agent's socket."""
        return await Client.of(self.directories.agent_sock(name))

    async def operator(self) -> Client:
        """Connect to host.sock."""
        return await Client.of(self.directories.host_sock)

    async def spawn(self, *names: str) -> None:
        """Let agents run, with their sockets open."""
        await self.desk.spawn(*names)
        for name in names:
            await self.homes.open(name)

    async def settle(self, name: str, *, error: str | None = None, running: bool = False) -> None:
        """Close the open intent of an agent, as the lifecycle reactor does."""
        intent = self.desk.hive.agents[name].pending_position
        assert intent is not None
        outcome = ReportOutcome(actor=DAEMON, agent=name, intent=intent, error=error, running=running)
        await self.desk.dispatcher.dispatch(outcome)


@asynccontextmanager
async def hall(
    place: Path, migrated: Path, *, claude: ClaudeConfig | None = None, agents_may_ask: bool = False
) -> AsyncIterator[Hall]:
    """Open the sockets of the hive in a directory, as a daemon does at its start; the hive is made where none is."""
    directories = Directories(data=place / "data", run=place / "run")
    directories.create()
    if not directories.hive_db.exists():
        shutil.copy(migrated, directories.hive_db)
    desk = Desk(directories.hive_db)
    streams, history = TurnStreams(directories.stream_db), History(directories.hive_db)
    proposals = Proposals(desk.dispatcher, Repositories(directories.data), history)
    sessions = Sessions(
        hive=desk.hive,
        directories=directories,
        claude=claude or ClaudeConfig(),
        isolates=lambda _name: True,
        rehearsal_url=None,
        agents_may_ask=agents_may_ask,
    )
    host = Host(
        dispatcher=desk.dispatcher,
        streams=streams,
        history=history,
        session=sessions,
        may_ask=sessions.may_ask,
        proposals=proposals,
    )
    homes = Homes(directories, host, proposals, max_connections=64)

    async def login(name: str) -> list[str]:
        return ["/usr/bin/env", "claude", name]

    async def try_runtime(_name: str, runtime: str) -> str:
        if runtime == "nowhere":
            raise Invalid("no runtime is called 'nowhere'")
        return "bubblewrap"

    daemon = host_socket.Daemon(
        dispatcher=desk.dispatcher,
        history=history,
        proposals=proposals,
        log_path=lambda name: f"/logs/{name}",
        try_runtime=try_runtime,
        login=login,
        kept=dict,
        home_url=HOME_URL,
        archive=Archivist(desk.dispatcher, directories.hive_db).next,
        link=Doors(),
    )
    protocol = Protocol(error=host_socket.error, ids=False)
    operators = LineServer(
        directories.host_sock, host_socket.HostSocket(daemon), protocol, mode=0o660, max_connections=64
    )
    await operators.open()
    for agent in desk.hive.agents.values():
        if agent.running or agent.pending is not None:
            await homes.open(agent.name)
    try:
        yield Hall(directories, desk, homes, proposals, Applier(desk.dispatcher, proposals))
    finally:
        await operators.close()
        await homes.close_all()
        streams.close()
        history.close()
        desk.log.close()
