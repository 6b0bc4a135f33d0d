"""What an agent has on the host besides its container: directories, its socket, its turn stream."""

from __future__ import annotations

import asyncio
import shutil

from hyperhive.config import Directories
from hyperhive.runtimes.protocol import Spec
from hyperhive.sockets.agent import AgentSocket, Host
from hyperhive.sockets.lines import LineServer, Protocol


class Homes:
    """Opens and closes agents' sockets, makes and wipes their directories."""

    def __init__(
        self,
        directories: Directories,
        host: Host,
        *,
        max_connections: int,
    ) -> None:
        self._directories = directories
        self._host = host
        self._max_connections = max_connections
        self._sockets: dict[str, LineServer] = {}

    async def prepare(self, name: str, generation: int) -> Spec:
        """Make an agent's directories, open its socket, and return what its container is made of."""
        self._directories.create_agent(name)
        await self.open(name)
        return Spec(
            name=name,
            state=self._directories.agent_state(name),
            socket_dir=self._directories.agent_socket_dir(name),
            log=self._directories.agent_log(name),
            generation=generation,
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
        self._sockets[name] = server
        await server.open()

    async def close(self, name: str) -> None:
        """Stop listening for an agent that is no more."""
        server = self._sockets.pop(name, None)
        if server is not None:
            await server.close()
        await self._host.streams.forget(name)

    async def close_all(self) -> None:
        """Stop listening; agents wait for the next daemon."""
        for server in self._sockets.values():
            await server.close()
        self._sockets.clear()

    async def clear(self, name: str) -> None:
        """Wipe an agent's state and applied configuration.

        Follows no link: rmtree walks by directory handles on Linux, and refuses a top that is one.
        """
        assert shutil.rmtree.avoids_symlink_attacks  # noqa: S101 - true on every Linux
        for directory in (self._directories.agent_dir(name), self._directories.applied(name)):
            if directory.exists():
                await asyncio.to_thread(shutil.rmtree, directory)
