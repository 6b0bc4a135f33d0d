"""`pause`, `resume`, `interrupt`, `lift`, `freeze`, `thaw`: what is asked of the daemon, and what is said."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.host import ScriptedHost
from tests.cli.program import Program

NOT_THERE = {"ok": False, "error": "no agent 'bob'; there are: coder", "code": "not_found"}


@pytest.mark.parametrize(
    ("arguments", "cmd", "expected", "said"),
    [
        (["pause", "coder"], "set_paused", [{"name": "coder", "paused": True}], "coder is paused; its mail waits\n"),
        (["resume", "coder"], "set_paused", [{"name": "coder", "paused": False}], "coder goes on\n"),
        (["interrupt", "coder"], "interrupt", [{"name": "coder"}], "coder ends its turn, if one runs\n"),
        (["lift", "a", "b", "a"], "lift", [{"name": "a"}, {"name": "b"}], None),
        (["freeze"], "freeze", [{}], "the hive is frozen; let it go on with: hyperhive thaw\n"),
        (["thaw"], "thaw", [{}], "the hive goes on\n"),
    ],
)
def test_asks_and_says(
    *,
    hyperhive: Program,
    host: ScriptedHost,
    arguments: list[str],
    cmd: str,
    expected: list[dict[str, Any]],
    said: str | None,
) -> None:
    """Each asks once a name, says what holds now on stderr, and prints no data."""
    host.answers[cmd] = {}
    ended = hyperhive(*arguments)
    assert (ended.code, ended.out, host.asked(cmd), len(host.requests)) == (0, "", expected, len(expected))
    assert said is None or ended.err == said


@pytest.mark.parametrize("verb", ["pause", "resume", "interrupt", "lift"])
def test_unknown_agent(hyperhive: Program, host: ScriptedHost, verb: str) -> None:
    """An agent that is not there is exit code 3; nothing is said to be done."""
    host.answers |= {"set_paused": NOT_THERE, "interrupt": NOT_THERE, "lift": NOT_THERE}
    ended = hyperhive(verb, "bob")
    assert (ended.code, ended.err) == (3, "hyperhive: no agent 'bob'; there are: coder\n")


@pytest.mark.parametrize("name", ["..", "-x", "x\ny", "x" * 61, "", "X"])
def test_what_is_no_name(hyperhive: Program, host: ScriptedHost, name: str) -> None:
    """What is no name never reaches the daemon."""
    ended = hyperhive("pause", "--", name)
    assert (ended.code, host.requests, "Traceback" in ended.err) == (2, [], False)


def test_names_are_needed(hyperhive: Program, host: ScriptedHost) -> None:
    """Nobody means everybody by naming nobody."""
    assert (hyperhive("pause").code, host.requests) == (2, [])
