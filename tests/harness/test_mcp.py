"""``python -m harness.mcp`` with a real MCP client, over standard input and output."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult

from tests.harness.host import Host
from tests.harness.running import ROOT


def serve(host: Host, work: Callable[[Client], Awaitable[None]]) -> None:
    """Do some work as a client of a server on this host."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", "harness.mcp"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HYPERHIVE_SOCKET": str(host.path)},
    )

    async def run() -> None:
        async with Client(stdio_client(parameters)) as client:
            await work(client)

    asyncio.run(asyncio.wait_for(run(), 30))


async def call(client: Client, name: str, **arguments: Any) -> CallToolResult:
    """Call a tool."""
    result = await client.call_tool(name, arguments)
    assert isinstance(result, CallToolResult)
    return result


class TestStdio:
    def test_any_client_can_write_and_read(self, host: Host) -> None:
        """The tools are listed, a message goes out, and mail comes in as data."""
        host.deliver("hello")

        async def work(client: Client) -> None:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["send", "recv", "recent"]
            sent = await call(client, "send", to="manager", body="hi")
            assert sent.structured_content == {"message_id": 1001}
            received = await call(client, "recv", wait_seconds=5)
            assert received.structured_content is not None
            assert [mail["body"] for mail in received.structured_content["messages"]] == ["hello"]

        serve(host, work)
        assert host.sent[0]["body"] == "hi"

    def test_the_next_recv_acknowledges(self, host: Host) -> None:
        """What was received is acknowledged by asking for more, and not before."""
        first = host.deliver("one")

        async def work(client: Client) -> None:
            await call(client, "recv", wait_seconds=5)
            await call(client, "recent")
            assert host.acked == []
            await call(client, "recv", wait_seconds=0)
            assert host.acked == [first]

        serve(host, work)

    def test_what_was_not_acknowledged_comes_again(self, host: Host) -> None:
        """A client that goes away after a recv leaves its mail to the next one."""
        host.deliver("one")

        async def work(client: Client) -> None:
            await call(client, "recv", wait_seconds=5)

        serve(host, work)
        serve(host, work)
        assert host.handed_over == [[1], [1]]

    def test_a_refusal_reaches_the_client(self, host: Host) -> None:
        """The host's no is a tool's error, in its words."""

        async def work(client: Client) -> None:
            refused = await call(client, "send", to="nobody", body="x")
            assert refused.is_error
            assert "no agent 'nobody'" in str(refused.content)

        serve(host, work)

    def test_needs_to_know_its_socket(self) -> None:
        """Without HYPERHIVE_SOCKET it says what is missing, and exits with 2."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "harness.mcp"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 2
        assert "HYPERHIVE_SOCKET is not set; it is the path of agent.sock" in done.stderr
