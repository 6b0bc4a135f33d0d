"""Completion in a shell: commands, options, the names of agents."""

from __future__ import annotations

import threading
import time

import pytest

from hyperhive.cli.client import ANSWER_SECONDS
from tests.cli.host import ScriptedHost
from tests.cli.program import Program


def complete(hyperhive: Program, *words: str) -> list[str]:
    """Ask as bash's side of the completion does."""
    ended = hyperhive(
        environment={
            "_HYPERHIVE_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(("hyperhive", *words)),
            "COMP_CWORD": str(len(words)),
        }
    )
    assert ended.err == ""
    return [line.partition(",")[2] for line in ended.out.splitlines() if line]


def test_commands(hyperhive: Program) -> None:
    """The beginning of a command is completed."""
    assert complete(hyperhive, "re") == [
        "restart",
        "rebuild",
        "revive",
        "resume",
        "request-spawn",
        "requeue",
        "replay",
        "restore",
    ]


def test_options(hyperhive: Program) -> None:
    """So is the beginning of an option."""
    assert complete(hyperhive, "destroy", "--pu") == ["--purge"]


def test_names_of_agents(hyperhive: Program, host: ScriptedHost) -> None:
    """Names come from the running daemon."""
    host.answers["list"] = {"agents": ["manager", "coder", "critic", "bob"]}
    assert complete(hyperhive, "restart", "c") == ["coder", "critic"]


def test_names_of_tombstones(hyperhive: Program, host: ScriptedHost) -> None:
    """What may be revived or purged is who was destroyed."""
    host.answers["tombstones"] = {"tombstones": [{"name": "coder"}, {"name": "critic"}, {"name": "bob"}]}
    assert complete(hyperhive, "purge", "c") == ["coder", "critic"]
    assert complete(hyperhive, "revive", "b") == ["bob"]


def test_without_a_daemon_there_are_none(hyperhive: Program) -> None:
    """Without a daemon nothing is offered, and nothing is written into the line being typed."""
    assert complete(hyperhive, "restart", "c") == []


def test_daemon_that_hangs_is_not_waited_for(hyperhive: Program, host: ScriptedHost) -> None:
    """A daemon that does not answer holds up the shell for a fifth of a second, not for five."""
    asked, enough = threading.Event(), threading.Event()

    def hang(_request: object) -> dict[str, object]:
        asked.set()
        enough.wait(30)
        return {"agents": ["coder"]}

    host.answers["list"] = hang
    begun = time.monotonic()
    try:
        assert complete(hyperhive, "restart", "c") == []
        assert asked.is_set()
        assert time.monotonic() - begun < ANSWER_SECONDS
    finally:
        enough.set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script(hyperhive: Program, shell: str) -> None:
    """Each shell gets a script that calls us."""
    ended = hyperhive("completion", shell)
    assert (ended.code, f"_HYPERHIVE_COMPLETE={shell}_complete" in ended.out) == (0, True)
