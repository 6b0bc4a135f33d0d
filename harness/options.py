"""How a session is to be, and what that means for the SDK."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from claude_agent_sdk import ClaudeAgentOptions
from claude_agent_sdk.types import McpSdkServerConfig
from mcp.server import Server

from harness import tools

MAX_MESSAGE_BYTES = 64 * 1_048_576
"""Of one line of `claude`'s: a file that it reads as base64 comes as one."""

ENVIRONMENT = {
    # Turns begin with mail: nothing else may wake the model, or call out.
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_CRON": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    # Notes are the agent's own business, in its own directory.
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    # A recv waits for 180 s, and for a daemon that is away as long as it takes.
    "MCP_TOOL_TIMEOUT": "86400000",
    # Takes the credentials out of what the agent's commands see. Bash reads it only where it does not take itself for a
    # remote shell: `claude` gives it a socket as standard input, and with a SHLVL below 2 it would run ~/.bashrc.
    "SHLVL": "1",
    "BASH_ENV": str(Path(__file__).with_name("bash_env.sh")),
}
DISALLOWED_TOOLS = ("ScheduleWakeup", "SendMessage", "ListAgents")
"""`claude`'s own ways to wake itself and to write to other sessions, beside the hive's."""

_SECRET = re.compile("KEY|TOKEN|SECRET|PASSWORD|AUTH")


@attrs.frozen(kw_only=True)
class Start:
    """The first message to a session's process."""

    resume: str | None
    model: str | None
    env: Mapping[str, str] = attrs.field(repr=False)
    permission_mode: str
    allowed_tools: list[str]
    claude_path: str | None
    system_prompt: str
    tools: list[str]
    mcp_servers: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    """The agent's own tool servers; what they do is the agent's business, and runs where it runs."""

    def redact(self, text: str) -> str:
        """Take every secret of the environment out of a text."""
        secrets = [value for name, value in self.env.items() if _SECRET.search(name) and value]
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "[secret]")
        return text


def options_of(start: Start, server: Server[Any], on_stderr: Callable[[str], None]) -> ClaudeAgentOptions:
    """Return the options of a session.

    The settings files in an agent's directory are the agent's own work. None is loaded, nor any MCP server of theirs:
    where nothing confines the session, a hook planted there would run at the next start without anybody's leave.
    """
    return ClaudeAgentOptions(
        model=start.model,
        resume=start.resume,
        permission_mode=start.permission_mode,  # type: ignore[arg-type] # the host's choice, checked by `claude`
        allowed_tools=[f"mcp__{tools.SERVER}", *(f"mcp__{name}" for name in start.mcp_servers), *start.allowed_tools],
        disallowed_tools=list(DISALLOWED_TOOLS),
        system_prompt={"type": "preset", "preset": "claude_code", "append": start.system_prompt},
        mcp_servers={**_own(start.mcp_servers), tools.SERVER: _always_loaded(server)},
        strict_mcp_config=True,
        setting_sources=[],
        verbatim_prompts=True,
        cli_path=start.claude_path,
        env={**ENVIRONMENT, **_sandboxed(start.permission_mode), **start.env},
        max_buffer_size=MAX_MESSAGE_BYTES,
        stderr=on_stderr,
        # Puts the prompts into the stream, and says when each was taken up.
        extra_args={"replay-user-messages": None},
    )


def _always_loaded(server: Server[Any]) -> McpSdkServerConfig:
    config: dict[str, Any] = {"type": "sdk", "name": tools.SERVER, "instance": server, "alwaysLoad": True}
    return config  # type: ignore[return-value] # `claude` knows alwaysLoad, the SDK's type does not yet


def _own(servers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: {"type": "stdio", **server, "alwaysLoad": True} for name, server in servers.items()}


def _sandboxed(permission_mode: str) -> dict[str, str]:
    # As root, `claude` goes without permission prompts only where it is told that a sandbox confines it.
    return {"IS_SANDBOX": "1"} if permission_mode == "bypassPermissions" else {}
