"""Sessions of the real claude program that talk to a rehearsal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, Message, create_sdk_mcp_server, tool

QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}


def key(agent: str) -> dict[str, str]:
    """Give the environment in which an agent speaks, without the program's side requests."""
    return {"ANTHROPIC_API_KEY": f"rehearsal-{agent}", **QUIET}


@asynccontextmanager
async def session(
    url: str, home: Path, send: Callable[[str, str], str], environment: Mapping[str, str]
) -> AsyncIterator[ClaudeSDKClient]:
    """Open a session whose only tool of the hive's is `send`; it lives in ``home``."""

    @tool("send", "Send a message to another agent.", {"to": str, "body": str})
    async def send_tool(given: dict[str, Any]) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": send(given["to"], given["body"])}]}

    options = ClaudeAgentOptions(
        system_prompt="You are an agent.",
        mcp_servers={"hive": create_sdk_mcp_server("hive", tools=[send_tool])},
        permission_mode="bypassPermissions",
        setting_sources=[],
        strict_mcp_config=True,
        verbatim_prompts=True,
        cwd=home,
        env={"HOME": str(home), "ANTHROPIC_BASE_URL": url, "IS_SANDBOX": "1", **environment},
    )
    async with ClaudeSDKClient(options) as client:
        yield client


async def turn(client: ClaudeSDKClient, prompt: str) -> list[Message]:
    """Play one turn and return what the program said of it."""
    await client.query(prompt)
    return [message async for message in client.receive_response()]
