"""What an agent cannot do from its own Bash, in a whole hive: see the others, reach them, speak for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hive.live import LiveHive, live

pytestmark = pytest.mark.hive

INTRUDER = Path(__file__).with_name("intruder.py")
SECRET = "the-reviewers-own-business"

SCENARIO = """
[[rule]]
who = "coder"
turn = '> look around'
once = "turn"
call = [{ tool = "Bash", input = { command = "python3 intruder.py" } }]

[[rule]]
who = "coder"
turn = '> ask'
once = "turn"
call = [{ tool = "ask_operator", input = { question = "may I?" } }]

[[rule]]
who = "coder"
result = ["Bash", "ask_operator"]
call = [{ tool = "send", input = { to = "operator", body = "it said: {read}" } }]

[default]
text = "nothing left to do"
"""

FORBIDDEN: dict[str, dict[str, Any]] = {
    "ask": {"cmd": "ask_operator", "question": "may I?", "agents_may_ask": True, "actor": "manager"},
    "list": {"cmd": "list"},
    "start": {"cmd": "start", "name": "reviewer"},
    "kill": {"cmd": "kill", "name": "reviewer", "actor": "operator"},
    "restart": {"cmd": "restart", "name": "reviewer"},
    "restart itself": {"cmd": "restart", "name": "coder"},
}
UNKNOWN: dict[str, dict[str, Any]] = {
    cmd: {"cmd": cmd, "name": "reviewer", "id": 1, "text": "yes"}
    for cmd in ("destroy", "rebuild", "spawn", "approve", "answer", "cancel", "freeze", "set_paused", "inbox", "state")
}
OWN: dict[str, dict[str, Any]] = {
    "send": {"cmd": "send", "to": "operator", "body": "as the manager", "from": "manager", "sender": "manager"},
    "recent": {"cmd": "recent", "limit": 200, "name": "reviewer", "to": "reviewer"},
    "session": {"cmd": "session", "name": "reviewer", "agent": "reviewer"},
    "report": {
        "cmd": "report",
        "agent": "reviewer",
        "event": {"kind": "status", "status": "compacting", "agent": "reviewer"},
    },
    "late": {"cmd": "report", "generation": 0, "event": {"kind": "status", "status": "waiting"}},
}


@pytest.fixture(scope="module")
def hive() -> Iterator[LiveHive]:
    """Give a hive in which coder has looked around, beside reviewer, who has a secret."""
    with live(SCENARIO) as hive:
        hive.spawn("coder", "reviewer")
        (hive.state("reviewer") / "NOTES.md").write_text(SECRET)
        hive.ask("send", name="reviewer", body=SECRET)
        (hive.state("coder") / "intruder.py").write_text(INTRUDER.read_text())
        (hive.state("coder") / "question.json").write_text(json.dumps(question(hive)))
        hive.ask("send", name="coder", body="look around")
        hive.until("the report", lambda: any(body.startswith("it said:") for body in hive.mail("operator")))
        yield hive


@pytest.fixture(scope="module")
def report(hive: LiveHive) -> dict[str, Any]:
    """What coder found."""
    assert report_file(hive).exists(), hive.mail("operator")
    found: dict[str, Any] = json.loads(report_file(hive).read_text())
    return found


def report_file(hive: LiveHive) -> Path:
    """Where coder writes it."""
    return hive.state("coder") / "report.json"


def question(hive: LiveHive) -> dict[str, Any]:
    """Return what coder is to try."""
    hidden = [
        *("d", "r", "d/hive.sqlite", "d/token", "d/agents", "d/agents/reviewer/state/NOTES.md", "daemon.log"),
        *("d/agents/coder/hyperhive-events.sqlite", "d/agents/coder/harness.log", "r/containers"),
    ]
    sockets = [hive.home / "r/host.sock", *(hive.home / f"r/agents/{name}/agent.sock" for name in AGENTS)]
    return {
        "paths": [str(hive.home / path) for path in hidden] + [str(hive.home)],
        "sockets": [str(path) for path in sockets],
        "written": [str(hive.home / "d/hive.sqlite"), "/run/hyperhive/other.sock", "/usr/bin/evil", "/etc/evil"],
        "url": hive.ask("urls")["urls"]["home"] + "api/state",
        "requests": {**FORBIDDEN, **UNKNOWN, **OWN},
    }


AGENTS = ("manager", "coder", "reviewer")


def test_does_not_see(hive: LiveHive, report: dict[str, Any]) -> None:
    """Neither the log, nor the token, nor another agent's notes, nor even its own record on the host is there."""
    assert all((hive.home / path).exists() for path in ("d/hive.sqlite", "d/token", "r/host.sock", "daemon.log"))
    assert report["seen"] == []
    names = {Path(path).name for path in report["files"]}
    assert names & {"hive.sqlite", "host.sock", "token", "hyperhive-events.sqlite", "harness.log"} == set()
    sockets = [path for path in report["files"] if path.endswith(".sock")]
    # claude makes one for itself in /tmp, which is the sandbox's own.
    own = sorted(path for path in sockets if not path.startswith("/tmp/"))
    assert own == ["/run/hyperhive/agent.sock", "/run/hyperhive/egress.sock"]


def test_does_not_reach(hive: LiveHive, report: dict[str, Any]) -> None:
    """No other socket answers, by any path; nor does the page, which is there for everybody else on the host."""
    assert set(report["reached"].values()) == {"FileNotFoundError"}
    assert hive.http("/api/state").status == 200
    assert report["status"] == "ConnectionRefusedError"


def test_does_not_write(report: dict[str, Any]) -> None:
    """Outside of its own directory nothing can be written."""
    assert "did" not in report["written"].values()
    assert len(report["written"]) == 4


def test_finds_its_own_credentials_alone(report: dict[str, Any]) -> None:
    """Of all environments that it can read none holds another agent's key; its own session's does."""
    assert "ANTHROPIC_API_KEY=rehearsal-coder" in report["environments"]
    assert "HYPERHIVE_GENERATION=1" in report["environments"]
    for text in (report["environments"], report["command_lines"]):
        assert "rehearsal-manager" not in text
        assert "reviewer" not in text
    assert "rehearsal-" not in report["command_lines"]
    assert report["replies"]["session"]["env"]["ANTHROPIC_API_KEY"] == "rehearsal-coder"
    assert SECRET not in json.dumps(report)


def test_may_not(hive: LiveHive, report: dict[str, Any]) -> None:
    """On its own socket it may do what agents may, whatever it claims; the rest is forbidden, or unknown there."""
    replies = report["replies"]
    assert {name: replies[name].get("code") for name in FORBIDDEN} == dict.fromkeys(FORBIDDEN, "forbidden")
    assert {name: replies[name].get("code") for name in UNKNOWN} == dict.fromkeys(UNKNOWN, "invalid")
    assert hive.ask("questions", all=True)["questions"] == []
    assert [fact["type"] for fact in hive.facts("agent-reviewer")] == ["SpawnRequested", "SpawnSucceeded"]


def test_speaks_for_itself(hive: LiveHive, report: dict[str, Any]) -> None:
    """What it says is kept as its own word: the sender is who owns the socket, and so is whom a report is about."""
    sent = [fact["data"] for fact in hive.facts("inbox-operator", "MessageSent")]
    assert [mail["sender"] for mail in sent if mail["body"] == "as the manager"] == ["coder"]
    streams = {fact["stream"] for fact in hive.facts() if fact["actor"] == "agent:coder"}
    assert streams == {"turn-coder", "inbox-coder", "inbox-operator"}
    said = [fact["data"]["status"] for fact in hive.facts("turn-coder", "StatusChanged")]
    assert ("compacting" in said, report["replies"]["late"]) == (True, {"ok": True, "dropped": True})


def test_has_no_tool_to_ask(hive: LiveHive) -> None:
    """Where the operator has not allowed it an agent's session has no tool for questions, and its call fails."""
    hive.ask("send", name="coder", body="ask")
    refusal = hive.until("the refusal", lambda: [body for body in hive.mail("operator") if "ask_operator" in body])
    assert "No such tool available" in refusal[0]
    assert hive.ask("questions", all=True)["questions"] == []
