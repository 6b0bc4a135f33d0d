"""What an agent's next turn runs with: model, credentials, permission mode. Read anew for every turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from harness.wire import MANAGER
from hyperhive.commands.errors import Unavailable
from hyperhive.config import BadCredentials, ClaudeConfig, Directories, load_credentials
from hyperhive.events.configurations import McpServer
from hyperhive.projections.configurations import settings_of
from hyperhive.projections.hive import Hive
from hyperhive.proposals.places import config_seen, proposed_seen, state_seen

BASIC_TOOLS = ("send", "recv", "recent")
MANAGER_TOOLS = ("list", "start", "kill", "restart", "request_spawn", "request_apply_commit")
ASK = "ask_operator"
"""What a session is offered; what a request may do is decided by its actor all the same."""

_PROPOSING = """\
- New agents and changed configurations are the operator's to approve. Each agent's configuration is a git repository in
  `{proposed}/NAME`: `agent.toml` says what it is. To change it, edit, commit, and `request_apply_commit` with the full
  commit id; what becomes of a request comes as mail from `system`."""

_BYPASS = "bypassPermissions"


@attrs.frozen(kw_only=True)
class Sessions:
    """Answers the harness's ``session`` request; credentials cross the agent's own socket and nothing else."""

    hive: Hive
    claude: ClaudeConfig
    isolates: Callable[[str], bool]
    """Whether an agent's runtime keeps it from the rest of the host; only then its sessions run without prompts."""
    directories: Directories
    rehearsal_url: str | None
    agents_may_ask: bool = False

    def __call__(self, name: str) -> dict[str, Any]:
        """Return the settings of one agent's next turn. Raises `Unavailable`."""
        session = self.hive.sessions.get(name)
        settings = settings_of(self.hive.configurations, name)
        return {
            "agent": name,
            "role": "manager" if name == MANAGER else "agent",
            "model": self.model_of(name),
            "env": {**dict(settings.environment), **self._environment(name)},
            "permission_mode": _BYPASS if self.isolates(name) else self.claude.permission_mode,
            "allowed_tools": [],
            "tools": self._tools(name),
            "mcp_servers": {server.name: self._server(name, server) for server in settings.mcp},
            "turn_seconds": settings.turn_seconds,
            "idle_seconds": self.claude.idle_seconds,
            "claude_path": None if self.claude.path is None else str(self.claude.path),
            "session_id": session.session_id if session is not None else None,
            "prompt": "\n\n".join(filter(None, (self._proposing(name), settings.prompt.strip()))),
        }

    def may_ask(self, name: str) -> bool:
        """Whether an agent may ask the operator, by its own configuration, else by the hive's; the manager may."""
        own = settings_of(self.hive.configurations, name).questions
        return name == MANAGER or (self.agents_may_ask if own is None else own)

    def model_of(self, name: str) -> str | None:
        """Return what an agent's next turn runs on, None for Claude's own default: the first of these that is set.

        The operator's choice for this agent, what its applied configuration says, what the hive's says.
        """
        session = self.hive.sessions.get(name)
        chosen = session.chosen_model if session is not None else None
        return chosen or configured_model(self.hive, self.claude, name)

    def _tools(self, name: str) -> list[str]:
        tools = [*BASIC_TOOLS, *(MANAGER_TOOLS if name == MANAGER else ())]
        return [*tools, ASK] if self.may_ask(name) else tools

    def _server(self, name: str, server: McpServer) -> dict[str, Any]:
        """Return how a tool server is started, with the places as the agent's container has them."""
        places = {
            "{config}": config_seen(self.directories.agent_config(name), isolated=self.isolates(name)),
            "{state}": state_seen(self.directories.agent_state(name), isolated=self.isolates(name)),
        }
        return {
            "command": _placed(server.command, places),
            "args": [_placed(argument, places) for argument in server.args],
            "env": {key: _placed(value, places) for key, value in server.environment},
        }

    def _proposing(self, name: str) -> str:
        if name != MANAGER:
            return ""
        place = proposed_seen(self.directories.data / "proposed", isolated=self.isolates(name))
        return _PROPOSING.replace("{proposed}", place)

    def _environment(self, name: str) -> Mapping[str, str]:
        if self.rehearsal_url is not None:
            return {"ANTHROPIC_BASE_URL": self.rehearsal_url, "ANTHROPIC_API_KEY": f"rehearsal-{name}"}
        found = self._credentials()
        if self.claude.base_url is not None:
            found["ANTHROPIC_BASE_URL"] = self.claude.base_url
        return found

    def _credentials(self) -> dict[str, str]:
        if self.claude.credentials_file is None:
            return {}
        try:
            return load_credentials(self.claude.credentials_file)
        except BadCredentials as error:
            raise Unavailable(str(error)) from error


def _placed(text: str, places: Mapping[str, str]) -> str:
    for name, place in places.items():
        text = text.replace(name, place)
    return text


def configured_model(hive: Hive, claude: ClaudeConfig, name: str) -> str | None:
    """Return what an agent runs on where the operator has chosen nothing."""
    return settings_of(hive.configurations, name).model or claude.model
