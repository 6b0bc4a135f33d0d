"""The hive's tools for any MCP client, on standard input and output: ``python -m harness.mcp``.

It reads the inbox as a consumer of its own: what its `recv` returned is acknowledged by the next `recv`, and comes
again where there is none. So it is for an inbox that no harness reads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from mcp.server.stdio import stdio_server

from harness import tools, wire
from harness.link import Closed, Link, Refused, command_id
from harness.log import log
from harness.settings import tools_of
from harness.toolcalls import READING

USAGE_EXIT = 2


class Client:
    """The tools' way to the host."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._held: list[int] = []
        self._receiving = anyio.Lock()

    async def call(self, name: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        """Do one tool's work; raises `tools.ToolRefused`."""
        try:
            if name == "recv":
                async with self._receiving:
                    return await self._recv(arguments)
            extra = {} if name in READING else {"command_id": command_id()}
            return await self._ask({**arguments, **extra, "cmd": name})
        except wire.WireError as error:
            raise tools.ToolRefused(str(error)) from None

    async def tools(self) -> tuple[str, ...]:
        """Ask the host which tools the owner of this socket has."""
        return tools_of(await self._ask({"cmd": "session"}))

    async def _recv(self, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if self._held:
            await self._ask({"cmd": "ack", "ids": self._held, "command_id": command_id()})
            self._held = []
        reply = await self._ask({**arguments, "cmd": "recv", "holding": []})
        self._held = [mail["id"] for mail in reply["messages"]]
        return reply

    async def _ask(self, request: dict[str, Any]) -> Mapping[str, Any]:
        call = self._link.start(request)
        try:
            return await anyio.to_thread.run_sync(call.result, abandon_on_cancel=True)
        except Refused as refused:
            raise tools.ToolRefused(str(refused)) from None
        except Closed:
            raise tools.ToolRefused("the link to the host is closed") from None
        except anyio.get_cancelled_exc_class():
            self._link.withdraw(call)
            raise


async def serve(link: Link) -> None:
    """Serve the tools until standard input ends."""
    client = Client(link)
    server = tools.build_server(await client.tools(), client.call, typed=True)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def main() -> int:
    """Return the exit code."""
    path = os.environ.get("HYPERHIVE_SOCKET")
    if not path:
        log("not_started", error="HYPERHIVE_SOCKET is not set; it is the path of agent.sock")
        return USAGE_EXIT
    link = Link(Path(path))
    link.open()
    anyio.run(serve, link)
    link.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
