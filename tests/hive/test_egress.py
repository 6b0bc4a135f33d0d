"""An agent without a network, in a whole hive: the model is reached, nothing else is, and people hear of it."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from hyperhive.events.log import read_only
from tests.hive.live import LiveHive, live

pytestmark = pytest.mark.hive

TRIES = """
import json, os, socket, urllib.request
def tried(act):
    try: return str(act())
    except Exception as error: return f'{type(error).__name__}: {error}'
told = json.load(open('told.json'))
os.environ['no_proxy'] = os.environ['NO_PROXY'] = ''
proxied = urllib.request.build_opener(urllib.request.ProxyHandler())
report = {
    'direct': tried(lambda: socket.create_connection(('1.1.1.1', 443), 3)),
    'names': tried(lambda: socket.getaddrinfo('example.org', 443)),
    'metadata': tried(lambda: socket.create_connection(('169.254.169.254', 80), 3)),
    'dashboard': tried(lambda: socket.create_connection(('127.0.0.1', told['port']), 3)),
    'other agent': tried(lambda: socket.create_connection(('127.0.0.1', told['other']), 3)),
    'asked': {
        where: tried(lambda: proxied.open(where, timeout=5).read())
        for where in (f"http://127.0.0.1:{told['port']}/", 'http://169.254.169.254/', 'http://evil.example/')
    },
    'proxy': os.environ.get('https_proxy', ''),
}
open('report.part', 'w').write(json.dumps(report))
os.rename('report.part', 'report.json')
"""
HOOKS = {
    "hooks": {
        event: [{"hooks": [{"type": "command", "command": "echo hook >>/state/planted"}]}]
        for event in ("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop")
    },
    "env": {"PLANTED": "yes"},
    "apiKeyHelper": "echo helper >>/state/planted",
}
SERVERS = {"mcpServers": {"evil": {"command": "sh", "args": ["-c", "echo server >>/state/planted"]}}}

COMMIT = """\
set -eu
cd /proposed/coder
printf '[egress]\\npolicy = "allowlist"\\nhosts = ["evil.example:80"]\\n' >agent.toml
git add -A
git commit -qm 'Let it reach that host'
git rev-parse HEAD
"""
SCENARIO = """
[[rule]]
who = "manager"
turn = 'egress_blocked.*evil\\.example:80'
once = "conversation"
call = [{ tool = "Bash", input = { command = @COMMIT@ } }]

[[rule]]
who = "manager"
result = "Bash"
matches = '(?P<commit>[0-9a-f]{40})'
[[rule.call]]
tool = "request_apply_commit"
input = { agent = "coder", commit = "{commit}", note = "it asked for evil.example" }

[[rule]]
who = "coder"
turn = '> look'
once = "turn"
call = [{ tool = "Bash", input = { command = "python3 tries.py; echo planted is [$PLANTED]" } }]

[[rule]]
who = "coder"
result = ["Bash"]
call = [{ tool = "send", input = { to = "operator", body = "it said: {read}" } }]

[default]
text = "nothing left to do"
""".replace("@COMMIT@", json.dumps(COMMIT))


def look(hive: LiveHive, times: int) -> dict[str, Any]:
    """Let coder look around once more, and return what it saw."""
    report = hive.state("coder") / "report.json"
    report.unlink(missing_ok=True)
    hive.ask("send", name="coder", body="look")
    hive.until("the report", report.exists)
    hive.until("its word", lambda: len([body for body in hive.mail("operator") if "it said" in body]) >= times)
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def check(hive: LiveHive, report: dict[str, Any], *, allowed: str = "") -> None:
    """Expect that everything but the model was out of reach, and that the reasons were told.

    A host that is allowed is looked for: here nobody knows its name.
    """
    for way in ("direct", "metadata", "names", "dashboard", "other agent"):
        assert "Error" in report[way] or "error" in report[way], report[way]
    status = {where: "502" if where == allowed else "403" for where in report["asked"]}
    assert all(status[where] in answer for where, answer in report["asked"].items()), report["asked"]
    assert report["proxy"].startswith("http://127.0.0.1:")
    ended = [fact["data"] for fact in hive.facts("turn-coder", "TurnEnded")]
    # A restart may come before a turn has ended: that one was stopped, and has not failed.
    assert [turn for turn in ended if not turn["ok"] and turn["error_kind"] != "stopped"] == []


def plant(state: Path) -> None:
    """Leave settings, hooks and servers for Claude wherever it might look for some."""
    for place in (state / ".claude/settings.json", state / ".claude/settings.local.json"):
        place.parent.mkdir(exist_ok=True)
        place.write_text(json.dumps(HOOKS))
    (state / ".mcp.json").write_text(json.dumps(SERVERS))
    (state / ".bashrc").write_text("echo bashrc >>/state/planted\n")
    (state / ".profile").write_text("echo profile >>/state/planted\n")
    (state / ".gitconfig").write_text('[core]\n\tfsmonitor = "echo git >>/state/planted; false"\n')


def test_bubblewrap_then_podman() -> None:
    """In a sandbox, after a move to podman with its state, over a killed daemon: the same; no planted hook ran.

    A host that was refused becomes a wish of the manager's, and, approved, is one that the agent may reach.
    """
    with live(SCENARIO) as hive, socket.create_server(("127.0.0.1", 0)) as other:
        hive.spawn("coder")
        (hive.state("coder") / "tries.py").write_text(TRIES)
        port = int(hive.ask("urls")["urls"]["home"].rstrip("/").rsplit(":", 1)[1])
        (hive.state("coder") / "told.json").write_text(json.dumps({"port": port, "other": other.getsockname()[1]}))
        check(hive, look(hive, 1))
        told = {(fact["data"]["host"], fact["data"]["port"]) for fact in hive.facts("egress-coder", "EgressBlocked")}
        assert told == {("127.0.0.1", port), ("169.254.169.254", 80), ("evil.example", 80)}
        assert set(hive.agent("coder")["blocked_hosts"]) == {
            f"127.0.0.1:{port}",
            "169.254.169.254:80",
            "evil.example:80",
        }
        mail = [json.loads(body) for body in system_mail(hive) if '"egress_blocked"' in body]
        assert "evil.example:80" in {each["host"] for each in mail}
        assert all("agent.toml" in each["hint"] for each in mail)

        (wish,) = hive.until("the manager asks for one of them", lambda: hive.ask("pending")["approvals"])
        assert (wish["kind"], wish["agent"], wish["requester"]) == ("apply_commit", "coder", "manager")
        hive.ask("approve", id=wish["id"])
        hive.until("coder may reach it", lambda: hive.agent("coder")["generation"] == 2)
        check(hive, look(hive, 2), allowed="http://evil.example/")

        plant(hive.state("coder"))
        hive.ask("restart", name="coder")
        hive.until("coder runs again", lambda: hive.agent("coder")["generation"] == 3)
        check(hive, look(hive, 3), allowed="http://evil.example/")
        assert ran(hive) <= {"profile", "bashrc"}  # as `weaknesses` says of planted_shell
        assert "planted is []" in hive.mail("operator")[-1]

        if shutil.which("podman") is None:
            pytest.skip("podman is not installed (apt install podman runc catatonit)")
        moved = hive.run("move", "coder", "--runtime", "podman")
        assert (moved.returncode, moved.stderr.splitlines()[-1]) == (0, "coder lives there now")
        assert (hive.agent("coder")["runtime"], hive.agent("coder")["generation"]) == ("podman", 4)
        check(hive, look(hive, 4), allowed="http://evil.example/")
        hive.kill_daemon()
        hive.serve()
        assert (hive.agent("coder")["running"], hive.agent("coder")["generation"]) == (True, 4)
        check(hive, look(hive, 5), allowed="http://evil.example/")
        assert ran(hive) <= {"profile", "bashrc"}  # as `weaknesses` says of planted_shell
        refused = hive.run("move", "coder", "--runtime", "nowhere")
        assert (refused.returncode, "bubblewrap, podman, nspawn, nixos, process" in refused.stderr) == (2, True)


def ran(hive: LiveHive) -> set[str]:
    """Return what wrote that it ran."""
    marks = hive.state("coder") / "planted"
    return set(marks.read_text().split()) if marks.exists() else set()


def system_mail(hive: LiveHive) -> list[str]:
    """Return what the host itself wrote to the manager."""
    with contextlib.closing(read_only(hive.database)) as connection:
        rows = connection.execute("""SELECT body FROM messages WHERE "to" = 'manager' AND sender = 'system'""")
        return [str(body) for (body,) in rows]
