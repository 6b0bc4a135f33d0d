"""spawn, start, kill, restart, rebuild, destroy: what is asked of the daemon, the waiting, the asking first."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hyperhive.cli.waiting import Done, Failed, Pending, outcome
from tests.cli.host import ScriptedHost
from tests.cli.program import Program

RUNNING = {"name": "coder", "running": True, "failed": False, "pending": None, "error": None}
STOPPED = RUNNING | {"running": False}


def status(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Make a reply of agent_status."""
    return {"agent_statuses": list(rows), **more}


class TestOutcome:
    """What one look says of a verb."""

    @pytest.mark.parametrize("verb", ["spawn", "start", "kill", "restart", "rebuild", "destroy"])
    def test_pending_while_a_transient_shows(self, verb: str) -> None:
        """A transient on the row means that it goes on, whatever else the row says."""
        assert outcome(verb, "coder", status(RUNNING | {"pending": "restarting"})) == Pending("restarting")

    @pytest.mark.parametrize("verb", ["spawn", "start", "restart", "rebuild"])
    def test_of_what_ends_running(self, verb: str) -> None:
        """Done when it runs; failed, with the reason, when it does not."""
        assert outcome(verb, "coder", status(RUNNING)) == Done()
        assert outcome(verb, "coder", status(STOPPED)) == Failed("it does not run")
        assert outcome(verb, "coder", status(STOPPED | {"failed": True, "error": "no bwrap"})) == Failed("no bwrap")
        assert outcome(verb, "coder", status(RUNNING | {"failed": True, "error": "hangs"})) == Failed("hangs")

    def test_does_not_mind_a_failed_turn(self) -> None:
        """A turn's error, which the row shows without the flag, is none of the container's."""
        assert outcome("restart", "coder", status(RUNNING | {"error": "429"})) == Done()

    def test_of_kill(self) -> None:
        """Done when it does not run, even if its last life ended in a crash."""
        assert outcome("kill", "coder", status(STOPPED | {"failed": True})) == Done()
        assert outcome("kill", "coder", status(RUNNING)) == Failed("it still runs")

    def test_of_destroy(self) -> None:
        """Done when there is no row any more."""
        assert outcome("destroy", "coder", status()) == Done()
        assert outcome("destroy", "coder", status(STOPPED | {"failed": True, "error": "busy"})) == Failed("busy")

    def test_of_spawn_before_there_is_a_row(self) -> None:
        """A container to come stands among the transients; neither row nor transient is a failure."""
        assert outcome("spawn", "coder", status(transients=[{"name": "coder"}])) == Pending("spawning")
        assert outcome("spawn", "coder", status(transients=[{"name": "coder", "error": "no"}])) == Failed("no")
        assert outcome("spawn", "coder", status(transients=[{"name": "other"}])) == Failed("it has no container")


class TestRequests:
    """What reaches the daemon."""

    @pytest.mark.parametrize(
        ("arguments", "cmd", "expected"),
        [
            (["spawn", "coder"], "spawn", [{"name": "coder"}]),
            (["start", "coder", "bob", "coder"], "start", [{"scope": {"agent_names": ["coder", "bob"]}}]),
            (["kill", "coder", "bob"], "kill", [{"name": "coder"}, {"name": "bob"}]),
            (["restart", "coder"], "restart", [{"name": "coder"}]),
            (["rebuild", "coder"], "rebuild", [{"name": "coder"}]),
            (["destroy", "coder", "--yes"], "destroy", [{"name": "coder", "purge": False}]),
            (["destroy", "coder", "--purge", "--yes"], "destroy", [{"name": "coder", "purge": True}]),
        ],
    )
    def test_are_what_the_daemon_knows(
        self, hyperhive: Program, host: ScriptedHost, arguments: list[str], cmd: str, expected: list[dict[str, Any]]
    ) -> None:
        """Each verb asks for what it says, once a name; --no-wait asks no more."""
        host.answers[cmd] = {}
        ended = hyperhive(*arguments, "--no-wait")
        assert (0, expected, len(expected)) == (ended.code, host.asked(cmd), len(host.requests))


class TestWaiting:
    """Looking until it is over."""

    def test_until_done(self, hyperhive: Program, host: ScriptedHost) -> None:
        """It waits until the transient is over and says on stderr how it went."""
        host.answers["restart"] = {}
        host.answers["agent_status"] = [*[status(RUNNING | {"pending": "restarting"})] * 3, status(RUNNING)]
        ended = hyperhive("restart", "coder")
        assert (ended.code, ended.out, ended.err) == (0, "", "coder: restarting…\ncoder runs again\n")

    def test_failure_has_its_reason(self, hyperhive: Program, host: ScriptedHost) -> None:
        """A failed start is exit code 1 with the daemon's reason and where to look."""
        host.answers["start"] = {}
        host.answers["agent_status"] = status(STOPPED | {"failed": True, "error": "bwrap: no such file"})
        ended = hyperhive("start", "coder")
        assert (ended.code, ended.out) == (1, "")
        assert ended.err == (
            "hyperhive: start coder failed: bwrap: no such file\nwhat its container wrote: hyperhive logs coder\n"
        )

    def test_one_failure_of_several_is_failure(self, hyperhive: Program, host: ScriptedHost) -> None:
        """Each agent is told; one that failed makes the exit code."""
        host.answers["start"] = {}
        host.answers["agent_status"] = status(RUNNING, STOPPED | {"name": "bob"})
        ended = hyperhive("start", "coder", "bob")
        assert (ended.code, "coder runs\n" in ended.err, "start bob failed" in ended.err) == (1, True, True)

    def test_timeout_leaves_it_going(self, hyperhive: Program, host: ScriptedHost) -> None:
        """After --timeout it says that it goes on, and fails."""
        host.answers["kill"] = {}
        host.answers["agent_status"] = status(RUNNING | {"pending": "stopping"})
        begun = time.monotonic()
        ended = hyperhive("kill", "coder", "--timeout", "0.2")
        assert (ended.code, "coder is still stopping after 0.2 s" in ended.err) == (1, True)
        assert time.monotonic() - begun < 10


class TestAskingFirst:
    """What destroys asks."""

    def test_refuses_without_a_terminal(self, hyperhive: Program, host: ScriptedHost) -> None:
        """Without a terminal nothing is destroyed, and the message names --yes."""
        ended = hyperhive("destroy", "coder", given=b"y\n")
        assert (ended.code, "say --yes" in ended.err, host.requests) == (2, True, [])

    def test_yes_on_a_terminal(self, hyperhive: Program, host: ScriptedHost) -> None:
        """On a terminal a yes goes on."""
        host.answers |= {"destroy": {}, "agent_status": status()}
        ended = hyperhive.on_terminal("destroy", "coder", answers=[("Remove coder?", "y")])
        assert (ended.code, host.asked("destroy")) == (0, [{"name": "coder", "purge": False}])

    @pytest.mark.parametrize("answer", ["n", ""])
    def test_no_on_a_terminal(self, hyperhive: Program, host: ScriptedHost, answer: str) -> None:
        """Anything but yes does nothing and fails."""
        ended = hyperhive.on_terminal("destroy", "coder", answers=[("Remove coder?", answer)])
        assert (ended.code, "nothing was done" in ended.out, host.requests) == (1, True, [])

    def test_purge_wants_the_name(self, hyperhive: Program, host: ScriptedHost) -> None:
        """What has no undo is confirmed with the name, not with a y."""
        host.answers |= {"destroy": {}, "agent_status": status()}
        refused = hyperhive.on_terminal("destroy", "coder", "--purge", answers=[("Type coder", "y")])
        assert (refused.code, host.requests) == (1, [])
        done = hyperhive.on_terminal("destroy", "coder", "--purge", answers=[("Type coder", "coder")])
        assert (done.code, host.asked("destroy")) == (0, [{"name": "coder", "purge": True}])
