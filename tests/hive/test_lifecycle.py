"""Agents crash, are started, stopped, destroyed and revived, and the manager's real session takes part in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hyperhive.projections.agents import QUARANTINE_CRASHES
from tests.hive.live import LiveHive, live

pytestmark = pytest.mark.hive

TOLD = r'message (?P<n>\d+) from system[^\n]*\n> \{"event": "(?P<what>%s)", "agent": "(?P<name>[a-z]+)"(?P<how>[^}]*)\}'
WISH = """
[[rule]]
who = "manager"
turn = '> please {verb} (?P<name>[a-z]+)'
once = "turn"
call = [{{ tool = "{verb}", input = {{ name = "{{name}}" }} }}]
"""
SCENARIO = """
# What was refused is passed on.
[[rule]]
who = "manager"
result = ["start", "kill", "restart"]
failed = true
call = [{ tool = "send", input = { to = "operator", body = "refused: {read}" } }]

# What has crashed is started again.
[[rule]]
who = "manager"
turn = '"container_crash", "agent": "(?P<name>[a-z0-9-]+)"'
once = "turn"
call = [{ tool = "start", input = { name = "{name}" } }]

# Every other word of the host is passed on, each once.
[[rule]]
who = "manager"
turn = '@TOLD@'
once = "conversation"
call = [{ tool = "send", input = { to = "operator", body = "{n}: {what} {name}{how}" } }]

[[rule]]
who = "writer"
turn = '> note (?P<word>\\w+)'
result = "Bash"
call = [{ tool = "send", input = { to = "operator", body = "noted {word}" } }]

[[rule]]
who = "writer"
turn = '> note (?P<word>\\w+)'
once = "turn"
call = [{ tool = "Bash", input = { command = "echo {word} >> /state/NOTES.md" } }]

[[rule]]
who = "writer"
turn = '> what did you note'
result = "Bash"
call = [{ tool = "send", input = { to = "operator", body = "notes: {read}" } }]

[[rule]]
who = "writer"
turn = '> what did you note'
once = "turn"
call = [{ tool = "Bash", input = { command = "cat /state/NOTES.md 2>&1" } }]

@WISHES@

[default]
text = "nothing left to do"
"""
SCENARIO = SCENARIO.replace("@TOLD@", TOLD % "started|restarted|killed|quarantined|spawned|destroyed")
SCENARIO = SCENARIO.replace("@WISHES@", "".join(WISH.format(verb=verb) for verb in ("start", "kill", "restart")))


@pytest.fixture(scope="module")
def hive() -> Iterator[LiveHive]:
    """Give one hive to all stories; the crash watch looks often."""
    with live(SCENARIO, settings=("crash_watch.interval_seconds=0.2",)) as hive:
        hive.awake("manager")
        yield hive


def passed_on(hive: LiveHive, position: int, words: str) -> None:
    """Wait until the manager's session has told the operator what it read in the message that is this fact."""
    hive.until(f"mail: {position}: {words}", lambda: f"{position}: {words}" in hive.mail("operator"))


def kicked(hive: LiveHive, start: dict[str, Any]) -> None:
    """Wait until an agent was handed the kick of a start, by which it knows that it was started."""
    name = start["data"]["agent"]
    hive.until(
        f"the kick of {name}",
        lambda: any(
            start["position"] in fact["data"]["ids"] for fact in hive.facts(f"inbox-{name}", "MessagesHandedOver")
        ),
    )


def newest(hive: LiveHive, name: str, type_: str, count: int = 1) -> dict[str, Any]:
    """Wait until an agent has so many facts of a type; return the last of them."""
    found = hive.until(
        f"{type_} number {count} of {name}",
        lambda: facts if len(facts := hive.facts(f"agent-{name}", type_)) >= count else [],
    )
    assert len(found) == count
    return found[-1]


def test_crash_loop(hive: LiveHive) -> None:
    """Killed from outside, an agent is started again by the manager, who has read of it; after five times it is not.

    Each crash is told once, each start reaches the agent and the manager. Then it is quarantined: the manager is told
    once, its start is refused with the reason, also after a restart of the daemon, and the operator's start lifts it.
    """
    hive.spawn("coder")
    for crash in range(1, QUARANTINE_CRASHES + 1):
        hive.kill_agent("coder")
        assert newest(hive, "coder", "ContainerCrashed", crash)["actor"] == "daemon"
        if crash == QUARANTINE_CRASHES:
            break
        started = newest(hive, "coder", "StartSucceeded", crash)
        assert started["data"]["generation"] == crash + 1
        assert newest(hive, "coder", "StartRequested", crash)["actor"] == "manager"
        kicked(hive, started)
        passed_on(hive, started["position"], 'started coder, "ok": true')
    quarantined = newest(hive, "coder", "AgentQuarantined")
    passed_on(hive, quarantined["position"], f'quarantined coder, "crashes": {QUARANTINE_CRASHES}')
    reason = f"coder is quarantined after {QUARANTINE_CRASHES} crashes; only the operator can start it"
    hive.until("the refusal", lambda: f"refused: {reason}" in hive.mail("operator"))
    hive.kill_daemon()
    hive.serve()
    row = hive.agent("coder")
    assert (row["quarantined"], row["running"], row["failed"]) == (True, False, True)
    hive.ask("send", name="manager", body="please start coder")
    hive.until("another refusal", lambda: hive.mail("operator").count(f"refused: {reason}") == 2)
    assert hive.run("start", "coder").returncode == 0
    newest(hive, "coder", "QuarantineLifted")
    kicked(hive, newest(hive, "coder", "StartSucceeded", QUARANTINE_CRASHES))
    assert hive.agent("coder")["quarantined"] is False
    assert [fact["data"]["generation"] for fact in hive.facts("agent-coder", "ContainerCrashed")] == [1, 2, 3, 4, 5]


def test_manager_rules_the_others(hive: LiveHive) -> None:
    """Its tools restart, kill and start an agent; the manager reads each outcome, the agent that it was started."""
    hive.spawn("reviewer")
    for verb, type_, told in (
        ("restart", "RestartSucceeded", 'restarted reviewer, "ok": true'),
        ("kill", "KillSucceeded", "killed reviewer"),
        ("start", "StartSucceeded", 'started reviewer, "ok": true'),
    ):
        hive.ask("send", name="manager", body=f"please {verb} reviewer")
        done = newest(hive, "reviewer", type_)
        passed_on(hive, done["position"], told)
        if verb != "kill":
            kicked(hive, done)
    asked = [fact for fact in hive.facts("agent-reviewer") if fact["type"].endswith("Requested")]
    assert [fact["actor"] for fact in asked] == ["operator", "manager", "manager", "manager"]
    assert hive.facts("agent-reviewer", "ContainerCrashed") == []


def test_manager_is_refused_on_itself(hive: LiveHive) -> None:
    """Its own container is not the manager's to stop, restart or start; the session reads why, and goes on."""
    before = hive.facts("agent-manager")
    for verb in ("kill", "restart", "start"):
        hive.ask("send", name="manager", body=f"please {verb} manager")
        refusal = f"refused: manager may not {verb} itself; the operator can"
        hive.until(f"the refusal to {verb}", lambda: refusal in hive.mail("operator"))  # noqa: B023 - called at once
    assert hive.facts("agent-manager") == before


def test_destroyed_and_revived(hive: LiveHive) -> None:
    """Destroyed, an agent keeps its notes and its session, and a spawn brings it back with both; a purge wipes all."""
    hive.spawn("writer")
    hive.ask("send", name="writer", body="note honey")
    hive.until("the note", lambda: "noted honey" in hive.mail("operator"))
    session = session_of(hive, "writer", 2)
    assert hive.run("destroy", "writer", "--yes").returncode == 0
    assert "writer" not in hive.ask("list")["agents"]
    (stone,) = hive.until("what is kept", lambda: known(hive))
    assert stone["name"] == "writer"
    assert hive.run("send", "writer", "are you there?").returncode == 3
    assert hive.run("spawn", "writer").returncode == 0
    assert session_of(hive, "writer", 3) == session
    assert hive.facts("turn-writer", "SessionLost") == []
    hive.ask("send", name="writer", body="what did you note?")
    hive.until("its notes", lambda: "notes: honey" in hive.mail("operator"))
    home, socket = hive.state("writer").parent, hive.home / "r/agents/writer"
    assert (home.exists(), socket.exists()) == (True, True)
    assert hive.run("destroy", "writer", "--purge", "--yes").returncode == 0
    assert (home.exists(), socket.exists()) == (False, False)
    assert hive.ask("tombstones")["tombstones"] == []
    turns = len(hive.facts("turn-writer", "TurnEnded"))
    assert hive.run("spawn", "writer").returncode == 0
    assert session_of(hive, "writer", turns + 1) != session
    hive.ask("send", name="writer", body="what did you note?")
    hive.until("no notes", lambda: any("No such file" in body for body in hive.mail("operator")))


def known(hive: LiveHive) -> list[dict[str, Any]]:
    """Return the tombstones, once it is known what each keeps."""
    stones: list[dict[str, Any]] = hive.ask("tombstones")["tombstones"]
    return stones if all(stone["size_bytes"] for stone in stones) else []


def session_of(hive: LiveHive, name: str, turns: int) -> str:
    """Wait until an agent has ended so many turns; return Claude's id of the session that the last of them was in."""
    ended = hive.until(
        f"turn {turns} of {name}",
        lambda: facts if len(facts := hive.facts(f"turn-{name}", "TurnEnded")) >= turns else [],
    )
    assert ended[-1]["data"]["ok"] is True
    return str(ended[-1]["data"]["session_id"])
