"""The manager asks for an agent and for what it is to be, the operator decides, and just that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hive.live import LiveHive, live

pytestmark = pytest.mark.hive

SERVER = """\
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    tool = {"name": "forecast", "description": "Say how the weather will be.",
            "inputSchema": {"type": "object", "properties": {"city": {"type": "string"}}}}
    result = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                       "serverInfo": {"name": "weather", "version": "1"}},
        "tools/list": {"tools": [tool]},
        "tools/call": {"content": [{"type": "text", "text": "rain in " + str(
            asked.get("params", {}).get("arguments", {}).get("city"))}]},
    }.get(asked["method"], {})
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""
AGENT_TOML = """\
model = "rehearsal-large"
prompt = "You are the weatherman."
recipients = ["operator"]
[mcp.weather]
command = "python3"
args = ["{config}/weather.py"]
[mcp.broken]
command = "/nowhere/at-all"
[limits]
memory_mb = 4096
"""
COMMIT = f"""\
set -eu
cd /proposed/weatherman
cat > agent.toml <<'END'
{AGENT_TOML}END
cat > weather.py <<'END'
{SERVER}END
git add -A
git commit -qm 'Tell the weather'
git rev-parse HEAD
"""
SCENARIO = """
[[rule]]
who = "manager"
turn = '> hire weatherman'
once = "turn"
call = [{ tool = "request_spawn", input = { name = "weatherman", reason = "somebody asks for the weather" } }]

[[rule]]
who = "manager"
result = "Bash"
matches = '(?P<commit>[0-9a-f]{40})'
[[rule.call]]
tool = "request_apply_commit"
input = { agent = "weatherman", commit = "{commit}", note = "so that it can tell" }

[[rule]]
who = "manager"
turn = '> configure weatherman'
once = "turn"
call = [{ tool = "Bash", input = { command = @COMMIT@ } }]

# Nothing of what is applied is to be seen from inside.
[[rule]]
who = "manager"
result = "Bash"
call = [{ tool = "send", input = { to = "operator", body = "looked: {read}" } }]

[[rule]]
who = "manager"
turn = '> look around'
once = "turn"
[[rule.call]]
tool = "Bash"
input = { command = "ls -d /proposed/* /applied /data /config/* 2>&1; touch /config/x 2>&1 || true" }

# Word of approvals, and of what is off, is passed on, each once.
[[rule]]
who = "manager"
turn = 'from system[^\\n]*\\n> (?P<what>\\{"event": "(approval_resolved|spawned|tool_servers_failed)".*\\})'
once = "conversation"
call = [{ tool = "send", input = { to = "operator", body = "{what}" } }]

[[rule]]
who = "weatherman"
result = "mcp__weather__forecast"
call = [{ tool = "send", input = { to = "operator", body = "forecast: {read}" } }]

[[rule]]
who = "weatherman"
turn = '> how is the weather in (?P<city>\\w+)'
once = "turn"
call = [{ tool = "mcp__weather__forecast", input = { city = "{city}" } }]

[[rule]]
who = "weatherman"
result = "send"
failed = true
call = [{ tool = "send", input = { to = "operator", body = "refused: {read}" } }]

[[rule]]
who = "weatherman"
turn = '> write to the manager'
once = "turn"
call = [{ tool = "send", input = { to = "manager", body = "psst" } }]

[default]
text = "Nothing left to do."
""".replace("@COMMIT@", json.dumps(COMMIT.replace("{config}", "{{config}}")))


@pytest.fixture
def hive() -> Iterator[LiveHive]:
    """A hive with its manager awake."""
    with live(SCENARIO) as running:
        running.awake("manager")
        yield running


def pending(hive: LiveHive) -> list[dict[str, Any]]:
    """What waits for a decision."""
    rows: list[dict[str, Any]] = hive.ask("pending")["approvals"]
    return rows


def tell(hive: LiveHive, to: str, body: str) -> None:
    """Write to an agent."""
    hive.ask("send", name=to, body=body)


def hired(hive: LiveHive) -> None:
    """Let the manager ask for the weatherman, and approve it as an old client would."""
    tell(hive, "manager", "hire weatherman")
    (wish,) = hive.until("the manager has asked", lambda: pending(hive))
    assert (wish["kind"], wish["agent"], wish["requester"]) == ("spawn", "weatherman", "manager")
    hive.ask("approve", id=wish["id"])
    hive.awake("weatherman")


def configured(hive: LiveHive) -> dict[str, Any]:
    """Let the manager propose a configuration; return the approval as it is shown, with its diff."""
    tell(hive, "manager", "configure weatherman")
    (wish,) = hive.until("the manager has proposed", lambda: pending(hive))
    review: dict[str, Any] = hive.ask("review", id=wish["id"])["review"]
    return review


def test_from_wish_to_weather(hive: LiveHive) -> None:
    """An agent is proposed, approved, configured and approved again; it answers with the new model and tool."""
    hired(hive)
    review = configured(hive)
    files = {file["path"]: "\n".join(line["text"] for line in file["lines"]) for file in review["diff"]["files"]}
    assert files.keys() == {"agent.toml", "weather.py"}
    assert files["agent.toml"] + "\n" == AGENT_TOML
    assert hive.agent("weatherman")["needs_update"] is False
    hive.ask("approve", id=review["id"], seen=True, commit=review["commit_ref"], base=review["base"], note="go on")
    hive.until("it is rebuilt", lambda: hive.facts("agent-weatherman", "RebuildSucceeded"))
    assert hive.agent("weatherman")["deployed_sha"] == review["commit_ref"][:12]

    tell(hive, "weatherman", "how is the weather in Bern")
    assert "forecast: rain in Bern" in hive.until(
        "the weather is told", lambda: [body for body in hive.mail("operator") if "forecast" in body]
    )
    assert hive.agent("weatherman")["active_model"] == "rehearsal-large"

    row = hive.until("the broken server shows", lambda: (row := hive.agent("weatherman"))["failed_servers"] and row)
    assert row["failed_servers"] == ["broken"]
    told = [json.loads(body) for body in hive.until("all is passed on", lambda: passed_on(hive, 4))]
    assert [(word["event"], word.get("status")) for word in told] == [
        ("approval_resolved", "approved"),
        ("spawned", None),
        ("approval_resolved", "approved"),
        ("tool_servers_failed", None),
    ]
    assert told[2]["note"] == "go on"

    tell(hive, "weatherman", "write to the manager")
    hive.until("the refusal is read", lambda: [body for body in hive.mail("operator") if body.startswith("refused")])
    assert hive.agent("weatherman")["refused_sends"] == 1
    assert "psst" not in hive.mail("manager")

    (applied,) = hive.facts("configuration-weatherman", "ConfigurationApplied")
    (rebuilt,) = hive.facts("agent-weatherman", "RebuildRequested")
    assert applied["correlation"] == rebuilt["correlation"], "one chain from the wish to the rebuild"


def passed_on(hive: LiveHive, count: int) -> list[str]:
    """What the manager passed on of the host's words, once it is so much."""
    words = [body for body in hive.mail("operator") if body.startswith('{"event"')]
    return words if len(words) >= count else []


def test_what_the_manager_sees(hive: LiveHive) -> None:
    """All proposed repositories, nothing of the applied ones; its own configuration cannot be written."""
    hired(hive)
    tell(hive, "manager", "look around")
    (seen,) = hive.until("it has looked", lambda: [body for body in hive.mail("operator") if body.startswith("looked")])
    assert "/proposed/manager\n/proposed/weatherman" in seen
    assert "cannot access '/applied'" in seen
    assert "cannot access '/data'" in seen
    assert "Read-only file system" in seen


@pytest.mark.parametrize("moment", ["granted", "applied"])
def test_daemon_killed_between_approval_and_rebuild(hive: LiveHive, moment: str) -> None:
    """Whenever the daemon dies after an approval: one decision, one rebuild, the new configuration."""
    hired(hive)
    review = configured(hive)
    seen = {"seen": True, "commit": review["commit_ref"], "base": review["base"]}
    hive.ask("approve", id=review["id"], **seen)
    if moment == "applied":
        hive.until("it is applied", lambda: hive.facts("configuration-weatherman", "ConfigurationApplied"))
    hive.kill_daemon()
    hive.serve()
    hive.until("it is rebuilt", lambda: hive.facts("agent-weatherman", "RebuildSucceeded"))
    types = [
        fact["type"] for fact in hive.facts() if fact["stream"] in ("agent-weatherman", f"approval-{review['id']}")
    ]
    assert types.count("ApprovalGranted") == 1
    assert types.count("RebuildRequested") == types.count("RebuildSucceeded") == 1
    assert len(hive.facts("configuration-weatherman", "ConfigurationApplied")) == 1
    tell(hive, "weatherman", "how is the weather in Bern")
    hive.until("the weather is told", lambda: [body for body in hive.mail("operator") if "forecast" in body])


def test_on_the_command_line(hive: LiveHive) -> None:
    """A first configuration is approved and shown; before it there is nothing to roll back to, which is said."""
    hired(hive)
    first = configured(hive)
    approved = hive.run("approve", str(first["id"]), "--yes")
    assert approved.returncode == 0, approved.stderr
    assert "+[mcp.weather]" in approved.stdout
    hive.until("it is rebuilt", lambda: hive.facts("agent-weatherman", "RebuildSucceeded"))
    refused = hive.run("config", "weatherman", "rollback", "--yes")
    assert (refused.returncode, "there is no configuration of weatherman before" in refused.stderr) == (3, True)
    shown = hive.run("config", "weatherman")
    assert shown.stdout.startswith(f"# agent.toml\n{AGENT_TOML}")
