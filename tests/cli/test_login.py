"""`hyperhive login`: a program on the operator's own terminal."""

from __future__ import annotations

import pytest

from tests.cli.host import ScriptedHost
from tests.cli.program import Program


def test_runs_the_daemons_command_on_this_terminal(hyperhive: Program, host: ScriptedHost) -> None:
    """The command owns the terminal, and its exit code is ours."""
    host.answers["login"] = {
        "argv": ["/bin/sh", "-c", 'test -t 0 && printf "code? " && read code && echo "got $code"; exit 7']
    }
    ended = hyperhive.on_terminal("login", "coder", answers=[("code? ", "abc")])
    assert (ended.code, "got abc" in ended.out) == (7, True)
    assert host.asked("login") == [{"name": "coder"}]


def test_needs_a_terminal(hyperhive: Program, host: ScriptedHost) -> None:
    """Without a terminal it is refused before the daemon is asked."""
    ended = hyperhive("login", "coder")
    assert (ended.code, "claude.credentials_file" in ended.err, host.requests) == (2, True, [])


@pytest.mark.parametrize("argv", [None, [], "sh", [1], ["a\0b"]])
def test_what_cannot_run_is_said(hyperhive: Program, host: ScriptedHost, argv: object) -> None:
    """A daemon that names no command is a failure with a reason."""
    host.answers["login"] = {"argv": argv}
    ended = hyperhive.on_terminal("login", "coder")
    assert (ended.code, "Traceback" in ended.out) == (1, False)
