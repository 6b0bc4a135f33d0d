"""What a session is started with: nothing of the agent's own making."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import tools
from harness.options import Start, options_of


async def nowhere(_: str, __: dict[str, Any]) -> Mapping[str, Any]:
    """Do no tool's work."""
    return {}


def start(**more: Any) -> Start:
    """Return a plain start, changed."""
    base: dict[str, Any] = {
        "resume": None, "model": None, "env": {}, "permission_mode": "dontAsk", "allowed_tools": ["Read"],
        "claude_path": None, "system_prompt": "You are coder.", "tools": [],
    }  # fmt: skip
    return Start(**{**base, **more})


def options(**more: Any) -> Any:
    """Return the options of a plain start, changed."""
    return options_of(start(**more), tools.build_server((), nowhere, typed=False), print)


class TestOptions:
    def test_nothing_in_the_agents_directory_configures_it(self) -> None:
        """No settings file, no MCP server of the agent's, and no expansion of what mail says."""
        made = options()
        assert made.setting_sources == []
        assert made.strict_mcp_config
        assert made.verbatim_prompts
        assert list(made.mcp_servers) == ["hive"]

    def test_the_hives_tools_are_always_allowed(self) -> None:
        """Whatever the host allows beside them."""
        assert options().allowed_tools == ["mcp__hive", "Read"]

    def test_our_prompt_comes_after_claudes_own(self) -> None:
        """The preset stays, ours is appended."""
        assert options().system_prompt == {"type": "preset", "preset": "claude_code", "append": "You are coder."}

    def test_a_sandbox_is_claimed_only_with_its_permissions(self) -> None:
        """`claude` is told of a sandbox where the host lets it do everything, and only there."""
        assert options(permission_mode="bypassPermissions").env["IS_SANDBOX"] == "1"
        assert "IS_SANDBOX" not in options().env

    def test_the_host_has_the_last_word(self) -> None:
        """What the host sets in the environment wins."""
        assert options(env={"MCP_TOOL_TIMEOUT": "5"}).env["MCP_TOOL_TIMEOUT"] == "5"


class TestRedact:
    def test_takes_secrets_out(self) -> None:
        """An error's text has no key and no token of the environment in it, but it has the address."""
        made = start(
            env={"ANTHROPIC_API_KEY": "sk-1", "ANTHROPIC_AUTH_TOKEN": "sk-12", "ANTHROPIC_BASE_URL": "http://x"}
        )
        assert made.redact("sk-12 and sk-1 at http://x") == "[secret] and [secret] at http://x"

    def test_shows_none_itself(self) -> None:
        """A start in a traceback has no credentials in it."""
        assert "sk-1" not in repr(start(env={"ANTHROPIC_API_KEY": "sk-1"}))
