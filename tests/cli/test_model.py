"""`hyperhive model`: what is asked of the daemon, and what is said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.host import ScriptedHost
from tests.cli.program import Program

ROWS = [
    {"name": "coder", "model": "opus", "active_model": "claude-sonnet-4-5"},
    {"name": "bob", "model": None, "active_model": None},
]


@pytest.mark.parametrize(
    ("arguments", "expected", "said"),
    [
        (["coder", "opus"], {"name": "coder", "model": "opus"}, "coder runs on opus from its next turn on\n"),
        (
            ["coder", "--default"],
            {"name": "coder", "model": None},
            "coder runs on the configured model from its next turn on\n",
        ),
    ],
)
def test_chooses(
    *, hyperhive: Program, host: ScriptedHost, arguments: list[str], expected: dict[str, Any], said: str
) -> None:
    """A model, or the configured one again."""
    host.answers["set_model"] = {}
    ended = hyperhive("model", *arguments)
    assert (ended.code, ended.out, ended.err, host.asked("set_model")) == (0, "", said, [expected])


def test_shows(hyperhive: Program, host: ScriptedHost) -> None:
    """Without a model it says what was chosen and what ran last, also as JSON."""
    host.answers["agent_status"] = {"agent_statuses": ROWS}
    assert hyperhive("model", "coder").out == "opus (last turn: claude-sonnet-4-5)\n"
    assert hyperhive("model", "bob").out == "default (last turn: none yet)\n"
    assert json.loads(hyperhive("model", "coder", "--json").out) == ROWS[0]
    ended = hyperhive("model", "eve")
    assert (ended.code, ended.out, ended.err) == (3, "", "hyperhive: no agent 'eve'; hyperhive ps lists them\n")


def test_contradiction(hyperhive: Program, host: ScriptedHost) -> None:
    """A model and the default at once are refused before anything is asked."""
    ended = hyperhive("model", "coder", "opus", "--default")
    assert (ended.code, host.requests) == (2, [])
    assert "contradict" in ended.err


def test_refused(hyperhive: Program, host: ScriptedHost) -> None:
    """The daemon's word on what is no model, and its exit code."""
    host.answers["set_model"] = {"ok": False, "error": "'-p' is no model's name; …", "code": "invalid"}
    ended = hyperhive("model", "coder", "--", "-p")
    assert (ended.code, ended.err) == (2, "hyperhive: '-p' is no model's name; …\n")
