"""What an agent's next turn runs with: model, credentials, permission mode. Read anew for every turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from harness.wire import MANAGER
from hyperhive.commands.errors import Unavailable
from hyperhive.config import BadCredentials, ClaudeConfig, load_credentials
from hyperhive.projections.hive import Hive

BASIC_TOOLS = ("send", "recv", "recent")
MANAGER_TOOLS = ("list", "start", "kill", "restart")
ASK = "ask_operator"
"""What a session is offered; what a request may do is decided by its actor all the same."""

_BYPASS = "bypassPermissions"


@attrs.frozen(kw_only=True)
class Sessions:
    """Answers the harness's ``session`` request; credentials cross the agent's own socket and nothing else."""

    hive: Hive
    claude: ClaudeConfig
    isolated: bool
    """Whether the runtime keeps an agent from the rest of the host; only then a session runs without prompts."""
    rehearsal_url: str | None
    agents_may_ask: bool = False

    def __call__(self, name: str) -> dict[str, Any]:
        """Return the settings of one agent's next turn. Raises `Unavailable`."""
        session = self.hive.sessions.get(name)
        return {
            "agent": name,
            "role": "manager" if name == MANAGER else "agent",
            "model": self.claude.model,
            "env": self._environment(name),
            "permission_mode": _BYPASS if self.isolated else self.claude.permission_mode,
            "allowed_tools": [],
            "tools": self._tools(name),
            "idle_seconds": self.claude.idle_seconds,
            "claude_path": None if self.claude.path is None else str(self.claude.path),
            "session_id": session.session_id if session is not None else None,
            "prompt": "",
        }

    def _tools(self, name: str) -> list[str]:
        if name == MANAGER:
            return [*BASIC_TOOLS, *MANAGER_TOOLS, ASK]
        return [*BASIC_TOOLS, ASK] if self.agents_may_ask else list(BASIC_TOOLS)

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
