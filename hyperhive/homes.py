"""What an agent has on the host besides its container: directories, its socket, its turn stream."""

from __future__ import annotations

import asyncio

from hyperhive.config import Directories
from hyperhive.runtimes.protocol import Spec
from hyperhive.sockets.agent import AgentSocket, Host
from hyperhive.sockets.lines import LineServer, Protocol
from hyperhive.wipe import wipe


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

    async def close_all(self) -> None:
        """Stop listening; agents wait for the next daemon."""
        while self._sockets:
            _, server = self._sockets.popitem()
            await server.close()

    async def clear(self, name: str) -> None:
        """Wipe all that is kept of an agent, and its applied configuration."""
        for directory in (self._directories.agent_dir(name), self._directories.applied(name)):
            await asyncio.to_thread(wipe, directory)
