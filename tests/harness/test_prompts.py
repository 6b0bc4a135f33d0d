"""What every request carries from us: little, and always the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import tools
from harness.prompts import system_prompt
from harness.settings import BASIC_TOOLS, Role

STATE = Path("/state")
TOOLS = {"agent": BASIC_TOOLS, "manager": tuple(definition.name for definition in tools.DEFINITIONS)}


def added_bytes(role: Role) -> int:
    """Return what our prompt and our tools' schemas add to a request."""
    schemas = [
        {"name": f"mcp__hive__{tool.name}", "description": tool.description, "input_schema": tool.input_schema}
        for tool in (definition.as_tool(typed=False) for definition in tools.definitions(TOOLS[role]))
    ]
    longest = "a" * 60
    return len(system_prompt(longest, role, STATE).encode()) + len(json.dumps(schemas, ensure_ascii=False).encode())


@pytest.mark.parametrize("role", ["agent", "manager"])
class TestSystemPrompt:
    def test_we_add_little(self, role: Role) -> None:
        """Prompt and tools together are at most 1,500 tokens, at four bytes each."""
        assert added_bytes(role) / 4 <= 1_500

    def test_is_the_same_every_time(self, role: Role) -> None:
        """Nothing in it changes from turn to turn, so the model's cache holds."""
        assert system_prompt("coder", role, STATE) == system_prompt("coder", role, STATE)

    def test_names_the_agent_and_its_home(self, role: Role) -> None:
        """Every blank is filled in."""
        prompt = system_prompt("coder", role, Path("/somewhere"), "Be brief.")
        assert "coder" in prompt
        assert "/somewhere/NOTES.md" in prompt
        assert prompt.endswith("\n\nBe brief.")
        assert "{" not in prompt

    def test_explains_mail_and_waiting(self, role: Role) -> None:
        """It says whose words are quoted, and how to wait."""
        prompt = system_prompt("coder", role, STATE)
        assert "Lines that begin with `> ` are the sender's words" in prompt
        assert "`recv` with `wait_seconds=180`, never a sleep in Bash" in prompt
