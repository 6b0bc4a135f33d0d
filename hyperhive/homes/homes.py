"""What an agent has on the host besides its container: directories, its socket, its turn stream."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.wire import MANAGER, check_name
from hyperhive.config import Directories, PortsConfig
from hyperhive.egress.proxy import Proxy
from hyperhive.homes.ports import assign
from hyperhive.proposals.agent_toml import confinement
from hyperhive.proposals.places import CONFIG, PROPOSED
from hyperhive.proposals.proposals import Proposals
from hyperhive.repositories.repositories import git_email
from hyperhive.runtimes.confinement import Egress, Limits
from hyperhive.runtimes.host import EGRESS_NAME
from hyperhive.runtimes.protocol import Spec
from hyperhive.sockets.agent import AgentSocket, Host
from hyperhive.sockets.lines import LineServer, Protocol
from hyperhive.wipe import apart, wipe


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
        limits: Limits = Limits(),  # noqa: B008 - frozen
        egress: Egress = Egress(),  # noqa: B008 - likewise
    ) -> None:
        self._directories = directories
        self._host = host
        self._proposals = proposals
        self._max_connections = max_connections
        self._ports = ports
        self._readable = readable
        self._limits = limits
        self._egress = egress
        self._proxy: Proxy | None = None
        self._sockets: dict[str, LineServer] = {}

    async def plan(self, name: str, generation: int) -> Spec:
        """Lay out what an agent's next container is built from; whatever runs sees nothing of it."""
        self._directories.create_agent(name)
        await self._proposals.settle(name)
        return self.spec(name, generation)

    async def prepare(self, name: str, generation: int) -> Spec:
        """Make an agent's directories, open its socket, choose its port, and return what its container is made of."""
        self._directories.create_agent(name)
        assign(name, self._ports, self._directories, ours=self._proposals.keeps(name))
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
            build=self._directories.applied(name),
            limits=limits.over(self._limits),
            egress=self._egress if egress is None else egress,
        )

    def egress_of(self, name: str) -> Egress:
        """Return where an agent's connections may go now: as its applied configuration says, or else the hive's."""
        _, egress = confinement(self._proposals.settings(name))
        return self._egress if egress is None else egress

    def connect(self, proxy: Proxy) -> None:
        """Open each agent's way out together with its socket, from now on."""
        self._proxy = proxy

    async def open(self, name: str) -> None:
        """Listen on an agent's socket, if nobody does yet."""
        if name in self._sockets:
            return
        self._directories.create_agent(name)
        server = LineServer(
            self._directories.agent_sock(name),
            AgentSocket(name, self._host),
            Protocol(error=lambda code, text: {"ok": False, "error": text, "code": code}, ids=True),
            # Nobody but the owner gets into its directory, save the one user whom a runtime admits there by a list, of
            # which these bits are the mask.
            mode=0o660,
            max_connections=self._max_connections,
        )
        # Noted before it is open, so that a second caller does not open another; and forgotten where that failed.
        self._sockets[name] = server
        try:
            await server.open()
            if self._proxy is not None:
                await self._proxy.open(name, self._directories.agent_socket_dir(name) / EGRESS_NAME)
        except BaseException:
            del self._sockets[name]
            await server.close()
            raise

    async def close(self, name: str) -> None:
        """Stop listening for an agent that is no more."""
        server = self._sockets.pop(name, None)
        if server is not None:
            await server.close()
        if self._proxy is not None:
            await self._proxy.close(name)
        await self._host.streams.forget(name)

    def adjust(
        self,
        *,
        max_connections: int,
        ports: PortsConfig,
        readable: tuple[Path, ...],
        limits: Limits,
        egress: Egress,
    ) -> None:
        """Follow a changed configuration: sockets and allowed hosts at once, the rest when a home is next prepared."""
        self._max_connections = max_connections
        self._ports = ports
        self._readable = readable
        self._limits = limits
        self._egress = egress
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
        if self._proxy is not None:
            await self._proxy.close_all()

    async def clear(self, name: str) -> None:
        """Wipe all that is kept of an agent, its applied configuration, and the directory of its socket."""
        check_name(name)
        data, run = self._directories.data, self._directories.run
        for root, *path in ((data, "agents", name), (data, "applied", name), (run, "agents", name)):
            await apart(functools.partial(_wipe, root, path))


def _git_identity(name: str) -> dict[str, str]:
    """Return the variables by which an agent's commits are its own."""
    who = {"NAME": name, "EMAIL": git_email(name)}
    return {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in who.items()}


def _wipe(root: Path, path: Sequence[str], stopped: Callable[[], bool]) -> None:
    wipe(root, *path, stopped=stopped)
