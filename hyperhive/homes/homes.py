"""What an agent has on the host besides its container: directories, its socket, its turn stream."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from harness.wire import MANAGER, check_name
from hyperhive.config import Directories, PortsConfig
from hyperhive.homes.ports import assign
from hyperhive.homes.wipe import wipe
from hyperhive.proposals.agent_toml import confinement
from hyperhive.proposals.places import CONFIG, PROPOSED
from hyperhive.proposals.proposals import Proposals
from hyperhive.repositories.repositories import git_email
from hyperhive.runtimes.protocol import Spec
from hyperhive.sockets.agent import AgentSocket, Host
from hyperhive.sockets.lines import LineServer, Protocol


class Homes:
    """Opens and closes agents' sockets, makes and wipes their directories."""

    def __init__(
        self,
        directories: Directories,
        host: Host,
        proposals: Proposals,
        *,
        max_connections: int,
        ports: PortsConfig = PortsConfig(),  # noqa: B008 - frozen
        readable: tuple[Path, ...] = (),
    ) -> None:
        self._directories = directories
        self._host = host
        self._proposals = proposals
        self._max_connections = max_connections
        self._ports = ports
        self._readable = readable
        self._sockets: dict[str, LineServer] = {}

    async def prepare(self, name: str, generation: int) -> Spec:
        """Make an agent's directories, open its socket, choose its port, and return what its container is made of."""
        self._directories.create_agent(name)
        assign(name, self._ports, self._directories)
        await self.open(name)
        await self._proposals.prepare(name, self._directories.agent_config(name))
        return self.spec(name, generation)

    def spec(self, name: str, generation: int) -> Spec:
        """Return what the container of a prepared agent is made of."""
        limits, egress = confinement(self._proposals.settings(name))
        proposed = {} if name != MANAGER else {PROPOSED: self._directories.data / "proposed"}
        return Spec(
            name=name,
            state=self._directories.agent_state(name),
            socket_dir=self._directories.agent_socket_dir(name),
            log=self._directories.agent_log(name),
            generation=generation,
            environment=_git_identity(name),
            readable=self._readable,
            writable=proposed,
            read_only={CONFIG: self._directories.agent_config(name)},
            limits=limits,
            **({} if egress is None else {"egress": egress}),
        )

    async def open(self, name: str) -> None:
        """Listen on an agent's socket, if nobody does yet."""
        if name in self._sockets:
            return
        self._directories.create_agent(name)
        server = LineServer(
            self._directories.agent_sock(name),
            AgentSocket(name, self._host),
            Protocol(error=lambda code, text: {"ok": False, "error": text, "code": code}, ids=True),
            mode=0o600,
            max_connections=self._max_connections,
        )
        # Noted before it is open, so that a second caller does not open another; and forgotten where that failed.
        self._sockets[name] = server
        try:
            await server.open()
        except BaseException:
            del self._sockets[name]
            raise

    async def close(self, name: str) -> None:
        """Stop listening for an agent that is no more."""
        server = self._sockets.pop(name, None)
        if server is not None:
            await server.close()
        await self._host.streams.forget(name)

    def adjust(self, *, max_connections: int, ports: PortsConfig, readable: tuple[Path, ...]) -> None:
        """Follow a changed configuration: the sockets at once, the rest when a home is next prepared."""
        self._max_connections = max_connections
        self._ports = ports
        self._readable = readable
        for server in self._sockets.values():
            server.max_connections = max_connections

    async def drain(self, seconds: float) -> None:
        """Take no further request, and answer those that are open."""
        await asyncio.gather(*(server.drain(seconds) for server in self._sockets.values()))

    async def close_all(self) -> None:
        """Stop listening; agents wait for the next daemon."""
        while self._sockets:
            _, server = self._sockets.popitem()
            await server.close()

    async def clear(self, name: str) -> None:
        """Wipe all that is kept of an agent, its applied configuration, and the directory of its socket."""
        check_name(name)
        data, run = self._directories.data, self._directories.run
        for root, *path in ((data, "agents", name), (data, "applied", name), (run, "agents", name)):
            await _wipe(root, *path)


def _git_identity(name: str) -> dict[str, str]:
    """Return the variables by which an agent's commits are its own."""
    who = {"NAME": name, "EMAIL": git_email(name)}
    return {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in who.items()}


async def _wipe(root: Path, *path: str) -> None:
    """Wipe a tree in a thread; one that is cancelled has stopped before it returns, so that nobody meets it later."""
    stop = threading.Event()
    work = asyncio.ensure_future(asyncio.to_thread(wipe, root, *path, stopped=stop.is_set))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(work, return_exceptions=True)
        raise
