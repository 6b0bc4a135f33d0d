"""What a harness is told, and what it refuses to run with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.settings import Place, SessionSpec, SettingsError

GOOD = {"HYPERHIVE_SOCKET": "/run/agent.sock", "HYPERHIVE_STATE": "/state", "HYPERHIVE_AGENT": "coder"}


class TestPlace:
    def test_comes_from_the_environment(self) -> None:
        """Three variables say where a harness lives."""
        assert Place.from_environment(GOOD) == Place(
            socket=Path("/run/agent.sock"), state=Path("/state"), agent="coder", backoff_seconds=2.0, generation=None
        )

    def test_generation(self) -> None:
        """Where the host says which of its starts this is, the harness knows."""
        assert Place.from_environment({**GOOD, "HYPERHIVE_GENERATION": "12"}).generation == 12

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"HYPERHIVE_SOCKET": ""}, "HYPERHIVE_SOCKET is not set; it is the path of agent.sock"),
            ({"HYPERHIVE_STATE": ""}, "HYPERHIVE_STATE is not set"),
            ({"HYPERHIVE_AGENT": "Not A Name"}, "HYPERHIVE_AGENT: 'Not A Name' is not an agent's name"),
            ({"HYPERHIVE_BACKOFF_SECONDS": "soon"}, "HYPERHIVE_BACKOFF_SECONDS is 'soon'; it is a number"),
            ({"HYPERHIVE_BACKOFF_SECONDS": "0"}, "above 0"),
            ({"HYPERHIVE_GENERATION": "first"}, "HYPERHIVE_GENERATION is 'first'; it is a whole number"),
            ({"HYPERHIVE_GENERATION": "-1"}, "HYPERHIVE_GENERATION is '-1'; it is a whole number, 0 or above"),
        ],
    )
    def test_says_what_would_be_right(self, change: dict[str, str], said: str) -> None:
        """A variable that is missing or wrong is named, with what belongs there."""
        with pytest.raises(SettingsError, match=said):
            Place.from_environment({**GOOD, **change})


class TestSessionSpec:
    def test_reads_a_hosts_reply(self) -> None:
        """Every field of the wire is taken over."""
        reply = {
            "ok": True, "agent": "coder", "role": "manager", "model": "claude-x", "env": {"A": "b"},
            "permission_mode": "bypassPermissions", "allowed_tools": ["Read"], "idle_seconds": 5,
            "claude_path": "/bin/claude", "session_id": "abc", "prompt": "be brief",
        }  # fmt: skip
        assert SessionSpec.from_wire(reply) == SessionSpec(
            agent="coder",
            role="manager",
            model="claude-x",
            env={"A": "b"},
            permission_mode="bypassPermissions",
            allowed_tools=("Read",),
            idle_seconds=5.0,
            claude_path="/bin/claude",
            session_id="abc",
            prompt="be brief",
        )

    def test_is_careful_where_the_host_says_nothing(self) -> None:
        """Without a word about permissions nothing is permitted that has to be asked for."""
        spec = SessionSpec.from_wire({"ok": True, "agent": "coder", "model": None, "a_newer_field": 1})
        assert (spec.permission_mode, spec.model, spec.idle_seconds) == ("dontAsk", None, 600.0)

    @pytest.mark.parametrize("reply", [{}, {"agent": 7}, {"agent": "coder", "env": "KEY=secret"}])
    def test_a_wrong_type_is_named_and_not_shown(self, reply: dict[str, Any]) -> None:
        """The error says which field is wrong, and nothing of its value: it may be a secret."""
        with pytest.raises(SettingsError, match=r"a (agent|env) of the type") as raised:
            SessionSpec.from_wire(reply)
        assert "secret" not in str(raised.value)

    def test_does_not_show_its_secrets(self) -> None:
        """A spec in a traceback or a log has no credentials in it."""
        assert "secret" not in repr(SessionSpec(agent="coder", env={"ANTHROPIC_API_KEY": "secret"}))
