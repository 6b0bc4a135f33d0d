"""The operator holds turns, freezes the hive and ends a turn; no mail is lost by it and none comes twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.hive.live import LiveHive, live

pytestmark = pytest.mark.hive

SCENARIO = r"""
# A turn that was cut off goes on.
[[rule]]
who = "coder"
turn = '> think (?P<n>\d+)(?s:.*) was cut off \(frozen\)'
once = "conversation"
call = [{ tool = "send", input = { to = "operator", body = "thought {n} to its end" } }]

# A turn that never ends by itself: the test sees by the file that it has begun.
[[rule]]
who = "coder"
turn = '> think (?P<n>\d+)'
unless = "was cut off"
once = "turn"
call = [{ tool = "Bash", input = { command = "touch /state/thinking{n}" } }]

[[rule]]
who = "coder"
turn = '> think (?P<n>\d+)'
result = "Bash"
delay_seconds = 3600
text = "never said"

# A turn that ends when the test lets it.
[[rule]]
who = "coder"
turn = '> hold (?P<n>\d+)'
result = "Bash"
call = [{ tool = "send", input = { to = "operator", body = "held {n}" } }]

[[rule]]
who = "coder"
turn = '> hold (?P<n>\d+)'
once = "turn"
[[rule.call]]
tool = "Bash"
[rule.call.input]
command = "touch /state/holding{n}; while [ ! -e /state/go{n} ]; do sleep 0.1; done"
timeout = 600000

[[rule]]
who = ["manager", "coder"]
turn = '> say (?P<word>\w+)'
once = "conversation"
call = [{ tool = "send", input = { to = "operator", body = "{speaker} says {word}" } }]

[default]
text = "nothing left to do"
"""


@pytest.fixture(scope="module")
def hive() -> Iterator[LiveHive]:
    """Give one hive to all stories."""
    with live(SCENARIO) as hive:
        hive.awake("manager")
        hive.spawn("coder")
        yield hive


def send(hive: LiveHive, name: str, body: str) -> int:
    """Write to an agent; return the message's id, which is the position of its fact."""
    return int(hive.ask("send", name=name, body=body)["message_id"])


def heard(hive: LiveHive, words: str) -> None:
    """Wait until the operator is written to in these words."""
    hive.until(f"mail to the operator: {words!r}", lambda: words in hive.mail("operator"))


def about(hive: LiveHive, name: str, type_: str, message: int) -> list[int]:
    """Return the positions of facts of a type about a message to an agent."""
    return [fact["position"] for fact in hive.facts(f"inbox-{name}", type_) if message in fact["data"]["ids"]]


def turn_on(hive: LiveHive, message: int) -> dict[str, Any]:
    """Wait until coder's turn on a message has ended; return what was said of its end."""

    def look() -> dict[str, Any]:
        begun = [fact for fact in hive.facts("turn-coder", "TurnStarted") if message in fact["data"]["ids"]]
        ended = hive.facts("turn-coder", "TurnEnded", after=begun[-1]["position"]) if begun else []
        return dict(ended[0]["data"]) if ended else {}

    return hive.until(f"the end of the turn on {message}", look)


def test_pause_lets_the_turn_end(hive: LiveHive) -> None:
    """A pause parks the loop after the running turn; mail queues over a restart of the daemon, and nothing is lost."""
    held = send(hive, "coder", "hold 1")
    hive.until("the turn", (hive.state("coder") / "holding1").exists)
    assert hive.run("pause", "coder").returncode == 0
    queued = send(hive, "coder", "say later")
    (hive.state("coder") / "go1").touch()
    heard(hive, "held 1")
    ended = turn_on(hive, held)
    assert (ended["ok"], about(hive, "coder", "MessagesHandedOver", queued)) == (True, [])
    hive.kill_daemon()
    hive.serve()
    row = hive.agent("coder")
    assert (row["paused"], row["running"], row["undelivered"]) == (True, True, 1)
    assert hive.run("resume", "coder").returncode == 0
    heard(hive, "coder says later")
    (resumed,) = hive.facts("agent-coder", "AgentResumed")
    (handed_over,) = about(hive, "coder", "MessagesHandedOver", queued)
    assert handed_over > resumed["position"]
    assert len(about(hive, "coder", "MessagesAcknowledged", held)) == 1


def test_pause_of_a_stopped_agent(hive: LiveHive) -> None:
    """Paused while it was stopped, an agent starts and takes no mail, not even its kick, until it goes on."""
    assert hive.run("kill", "coder").returncode == 0
    lives = len(hive.facts("turn-coder", "HarnessStarted"))
    assert hive.run("pause", "coder").returncode == 0
    waiting = send(hive, "coder", "say awake")
    assert hive.run("start", "coder").returncode == 0
    hive.until("its harness", lambda: len(hive.facts("turn-coder", "HarnessStarted")) > lives)
    kick = hive.facts("agent-coder", "StartSucceeded")[-1]["position"]
    assert hive.run("resume", "coder").returncode == 0
    heard(hive, "coder says awake")
    resumed = hive.facts("agent-coder", "AgentResumed")[-1]["position"]
    for message in (kick, waiting):
        (handed_over,) = about(hive, "coder", "MessagesHandedOver", message)
        assert handed_over > resumed


def test_freeze_and_thaw(hive: LiveHive) -> None:
    """A freeze is one fact that interrupts the running turn and holds every loop, also over a restart of the daemon.

    Thawed, the turn goes on with its mail, which was handed over once and is acknowledged once.
    """
    thought = send(hive, "coder", "think 2")
    hive.until("the turn", (hive.state("coder") / "thinking2").exists)
    assert hive.run("freeze").returncode == 0
    ended = turn_on(hive, thought)
    assert (ended["ok"], ended["error_kind"]) == (False, "frozen")
    assert hive.run("freeze").returncode == 0
    queued = send(hive, "manager", "say thawed")
    hive.kill_daemon()
    hive.serve()
    assert hive.ask("agent_status")["frozen"] is True
    assert about(hive, "manager", "MessagesHandedOver", queued) == []
    assert about(hive, "coder", "MessagesAcknowledged", thought) == []
    assert hive.run("thaw").returncode == 0
    heard(hive, "thought 2 to its end")
    heard(hive, "manager says thawed")
    frozen, thawed = hive.facts("hive-hive", "HiveFrozen", "HiveThawed")
    assert (frozen["type"], thawed["type"]) == ("HiveFrozen", "HiveThawed")
    assert about(hive, "manager", "MessagesHandedOver", queued)[0] > thawed["position"]
    hive.until("the end of the turn", lambda: about(hive, "coder", "MessagesAcknowledged", thought))
    assert [len(about(hive, "coder", f"Messages{what}", thought)) for what in ("HandedOver", "Acknowledged")] == [1, 1]
    assert hive.mail("operator").count("thought 2 to its end") == 1


def test_interrupt(hive: LiveHive) -> None:
    """The operator ends a running turn: its mail counts as read and comes no more. Where none runs, nothing happens."""
    thought = send(hive, "coder", "think 3")
    hive.until("the turn", (hive.state("coder") / "thinking3").exists)
    assert hive.run("interrupt", "coder").returncode == 0
    ended = turn_on(hive, thought)
    assert (ended["ok"], ended["error_kind"]) == (False, "cancelled")
    send(hive, "coder", "say onward")
    heard(hive, "coder says onward")
    assert [len(about(hive, "coder", f"Messages{what}", thought)) for what in ("HandedOver", "Acknowledged")] == [1, 1]
    hive.until("the end of the turn", lambda: hive.agent("coder")["status"] == "idle")
    position = hive.ask("state")["state"]["position"]
    assert hive.run("interrupt", "coder").returncode == 0
    assert hive.facts("turn-coder", "TurnInterruptRequested", after=position) == []
