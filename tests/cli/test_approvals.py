"""`approvals`, `diff`, `approve`, `deny`, `request-spawn`, `config NAME`: what is shown, what reaches the daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.host import ScriptedHost
from tests.cli.program import Program

AT = "2026-02-03T04:05:06.000000Z"
COMMIT, BASE = "a" * 40, "b" * 40


def row(number: int, **more: Any) -> dict[str, Any]:
    """Make an approval as the daemon gives it."""
    return {
        "id": number,
        "agent": "coder",
        "kind": "apply_commit",
        "commit_ref": COMMIT,
        "fetched_sha": COMMIT,
        "requested_at": AT,
        "status": "pending",
        "resolved_at": None,
        "note": None,
        "description": "so that\nit thinks",
        "requester": "manager",
        "base": BASE,
        "blocked": None,
        "work": "decide",
        "resolved_by": None,
        "superseded_by": None,
        **more,
    }


def line(kind: str, text: str) -> dict[str, Any]:
    """Make a line of a diff."""
    return {"kind": kind, "old": 1, "new": 1, "text": text}


DIFF = {
    "base": BASE,
    "commit": COMMIT,
    "files": [
        {
            "path": "agent.toml",
            "status": "changed",
            "old_mode": "100644",
            "new_mode": "100755",
            "lines": [line("@", "@@ -1 +1 @@"), line("-", 'model = "a"'), line("+", 'model = "\\u202eb"')],
        },
    ],
}
HEAD = "#7  2026-02-03 04:05:06  manager asks: apply commit aaaaaaaaaaaa for coder\n    so that\n    it thinks\n"
WRITTEN = 'changed agent.toml  mode 100644 → 100755\n@@ -1 +1 @@\n-model = "a"\n+model = "\\u202eb"\n'


def test_list(hyperhive: Program, host: ScriptedHost) -> None:
    """What waits, in words and as JSON; with --all also what was decided, and how."""
    host.answers["pending"] = {"approvals": [row(7)]}
    host.answers["approvals"] = {"approvals": [row(6, status="denied", note="no\x1b[2J"), row(7)]}
    assert hyperhive("approvals").out == HEAD
    assert json.loads(hyperhive("approvals", "--json").out) == [row(7)]
    assert "for coder  (denied: no\\x1b[2J)" in hyperhive("approvals", "--all").out
    host.answers["pending"] = {"approvals": []}
    assert hyperhive("approvals").err == "nothing waits for a decision\n"


def test_diff(hyperhive: Program, host: ScriptedHost) -> None:
    """The whole change, and no colours where it is not a terminal."""
    host.answers["review"] = {"review": {**row(7), "diff": DIFF}}
    assert hyperhive("diff", "7").out == f"{HEAD}\n{WRITTEN}"
    assert json.loads(hyperhive("diff", "7", "--json").out)["diff"] == DIFF


def test_approve(hyperhive: Program, host: ScriptedHost) -> None:
    """What is approved is what was shown: commit and base go with it."""
    host.answers["review"] = {"review": {**row(7), "diff": DIFF}}
    host.answers["approve"] = {}
    done = hyperhive("approve", "7", "--note", "go on", "--yes")
    assert (done.code, done.out) == (0, f"{HEAD}\n{WRITTEN}")
    assert host.asked("approve") == [{"id": 7, "note": "go on", "seen": True, "commit": COMMIT, "base": BASE}]


def test_approve_asks(hyperhive: Program, host: ScriptedHost) -> None:
    """Without a terminal to ask on, and without --yes, nothing is approved."""
    host.answers["review"] = {"review": {**row(7), "diff": DIFF}}
    assert hyperhive("approve", "7").code == 2
    assert host.asked("approve") == []


def test_stale(hyperhive: Program, host: ScriptedHost) -> None:
    """A refusal as stale says what moved, with the code of a conflict."""
    host.answers["review"] = {"review": {**row(7), "diff": DIFF}}
    host.answers["approve"] = {"ok": False, "code": "conflict", "error": "not approved: the base moved from b to c"}
    done = hyperhive("approve", "7", "--yes")
    assert (done.code, done.err) == (4, "hyperhive: not approved: the base moved from b to c\n")


def test_blocked(hyperhive: Program, host: ScriptedHost) -> None:
    """Why something cannot be approved stands where it is looked at."""
    host.answers["review"] = {"review": {**row(7), "blocked": "too large", "diff": {**DIFF, "files": []}}}
    assert "    cannot be approved: too large\n\nnothing changes\n" in hyperhive("diff", "7").out


def test_deny(hyperhive: Program, host: ScriptedHost) -> None:
    """A denial carries its note."""
    host.answers["deny"] = {}
    assert hyperhive("deny", "7", "-m", "two are enough").err == "approval 7 is denied\n"
    assert host.asked("deny") == [{"id": 7, "note": "two are enough"}]


def test_request_spawn(hyperhive: Program, host: ScriptedHost, tmp_path: Path) -> None:
    """The operator's own wish goes the same way, with a file as its configuration."""
    host.answers["request_spawn"] = {"approval_id": 9}
    file = tmp_path / "agent.toml"
    file.write_text('model = "opus"\n')
    assert "asked as approval 9" in hyperhive("request-spawn", "ann", "-m", "helps", "-f", str(file)).err
    assert host.asked("request_spawn") == [{"name": "ann", "reason": "helps", "config": 'model = "opus"\n'}]


def test_config_of_an_agent(hyperhive: Program, host: ScriptedHost) -> None:
    """What is applied, what was, what changed, and the way back."""
    entry = {"commit": COMMIT, "at": AT, "author": "manager", "subject": "Think\x1b", "tags": ["approval-7"]}
    host.answers |= {
        "config_show": {"files": {"agent.toml": 'model = "opus"\n'}},
        "config_log": {"log": [entry]},
        "config_diff": {"diff": DIFF},
        "config_rollback": {"approval_id": 8},
    }
    assert hyperhive("config", "coder").out == '# agent.toml\nmodel = "opus"\n\n'
    assert hyperhive("config", "coder", "log").out == (
        "aaaaaaaaaaaa  2026-02-03 04:05:06  manager: Think\\x1b  (approval-7)\n"
    )
    assert hyperhive("config", "coder", "diff").out == WRITTEN
    assert hyperhive("config", "coder", "rollback", "abcdef1", "--yes").err == "approved as 8\n"
    assert host.asked("config_rollback") == [{"name": "coder", "note": "", "commit": "abcdef1"}]
