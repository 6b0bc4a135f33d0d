"""`hyperhive doctor`: what it sees, what it says to do, its exit code."""

from __future__ import annotations

import json
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from hyperhive.cli.checks import bundled_claude
from tests.cli.host import ScriptedHost
from tests.cli.program import Program


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def fake_claude(hyperhive: Program, script: str) -> str:
    """Write a program that stands where claude would."""
    program = hyperhive.home / "claude"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    return str(program)


def look(hyperhive: Program, **environment: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run it with a claude that answers at once, unless told otherwise."""
    if "HYPERHIVE_CLAUDE_PATH" not in environment:
        environment["HYPERHIVE_CLAUDE_PATH"] = fake_claude(hyperhive, "echo 9.9.9")
    defaults = {
        "HYPERHIVE_RUNTIME": "process",
        "HYPERHIVE_LISTEN": f"127.0.0.1:{free_port()}",
    }
    ended = hyperhive("doctor", "--quick", "--json", environment=defaults | environment)
    document = json.loads(ended.out)
    assert document["ok"] == (ended.code == 0)
    return ended.code, {check["name"]: check for check in document["checks"]}


class TestHealthy:
    """On a machine where a hive can run."""

    def test_says_ok_and_changes_nothing(self, hyperhive: Program) -> None:
        """On a machine where a hive can run: exit code 0, and no directory was made."""
        code, checks = look(hyperhive)
        assert code == 0
        assert {"python", "configuration", "data directory", "run directory", "disk", "database", "claude", "port"} <= {
            name for name, check in checks.items() if check["state"] == "ok"
        }
        assert (hyperhive.data.exists(), hyperhive.run.exists()) == (False, False)

    def test_warns_of_what_a_hive_can_do_without(self, hyperhive: Program) -> None:
        """No sandbox by choice, no login, no daemon: warnings with a remedy."""
        _, checks = look(hyperhive)
        for name in ("sandbox", "credentials", "daemon"):
            assert (checks[name]["state"], bool(checks[name]["remedy"])) == ("warn", True)

    def test_for_people(self, hyperhive: Program) -> None:
        """Each check is a line, its remedy below."""
        claude = fake_claude(hyperhive, "echo 9.9.9")
        ended = hyperhive("doctor", environment={"HYPERHIVE_CLAUDE_PATH": claude, "HYPERHIVE_RUNTIME": "process"})
        assert f"ok    claude          9.9.9 at {claude}\n" in ended.out
        assert "→ hyperhive serve\n" in ended.out

    def test_finds_the_bundled_claude(self) -> None:
        """The SDK's own program is found without importing the SDK."""
        found = bundled_claude()
        assert found is not None
        assert found.is_file()

    def test_daemon_that_answers(self, hyperhive: Program, host: ScriptedHost) -> None:
        """A running daemon is seen, and the port that it holds is no fault."""
        host.answers["list"] = {"agents": ["manager", "coder"]}
        with socket.create_server(("127.0.0.1", 0)) as listener:
            code, checks = look(hyperhive, HYPERHIVE_LISTEN=f"127.0.0.1:{listener.getsockname()[1]}")
        assert (code, checks["daemon"]["state"], checks["port"]["state"]) == (0, "ok", "ok")
        assert "2 agents" in checks["daemon"]["found"]


class TestEssentialIsMissing:
    """What makes the exit code 1."""

    def check(self, hyperhive: Program, name: str, **environment: str) -> dict[str, Any]:
        """Return the check, which failed, has a remedy, and made the exit code."""
        code, checks = look(hyperhive, **environment)
        assert (code, checks[name]["state"]) == (1, "fail")
        assert checks[name]["remedy"]
        return checks[name]

    @pytest.mark.parametrize(("script", "said"), [("exit 3", "ended with 3"), ("echo no >&2; exit 1", "no")])
    def test_claude_does_not_run(self, hyperhive: Program, script: str, said: str) -> None:
        """A claude that fails is shown with what it said."""
        found = self.check(hyperhive, "claude", HYPERHIVE_CLAUDE_PATH=fake_claude(hyperhive, script))
        assert said in found["found"]

    def test_claude_is_not_there(self, hyperhive: Program) -> None:
        """A claude.path that leads nowhere fails."""
        assert "does not start" in self.check(hyperhive, "claude", HYPERHIVE_CLAUDE_PATH="/nonexistent")["found"]

    def test_port_is_taken(self, hyperhive: Program) -> None:
        """A port that another program holds is named."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            assert address in self.check(hyperhive, "port", HYPERHIVE_LISTEN=address)["found"]

    def test_credentials_are_open_to_others(self, hyperhive: Program) -> None:
        """A credentials file that others may read is a fault, and its content is not shown."""
        file = hyperhive.home / "key"
        file.write_text("sk-ant-api03-verysecret\n")
        file.chmod(0o644)
        found = self.check(hyperhive, "credentials", HYPERHIVE_CLAUDE_CREDENTIALS_FILE=str(file))
        assert "chmod 600" in found["found"]
        assert "verysecret" not in json.dumps(found)
        file.chmod(0o600)
        _, checks = look(hyperhive, HYPERHIVE_CLAUDE_CREDENTIALS_FILE=str(file))
        assert (checks["credentials"]["state"], "ANTHROPIC_API_KEY" in checks["credentials"]["found"]) == ("ok", True)

    def test_database_is_of_a_newer_release(self, hyperhive: Program) -> None:
        """A file of a newer release is named with both revisions."""
        make_database(hyperhive.data / "hive.sqlite", "9999")
        assert "revision 9999" in self.check(hyperhive, "database")["found"]

    def test_database_is_none(self, hyperhive: Program) -> None:
        """A file that is no database is named as such."""
        hyperhive.data.mkdir()
        (hyperhive.data / "hive.sqlite").write_text("not a database " * 100)
        assert "not a hive's database" in self.check(hyperhive, "database")["found"]

    def test_configuration_is_wrong(self, hyperhive: Program) -> None:
        """A wrong configuration is one of the findings, and the rest is still looked at."""
        hyperhive.data.mkdir()
        (hyperhive.data / "hyperhive.toml").write_text("lsten = 1")
        ended = hyperhive("doctor", "--json", environment={"HYPERHIVE_CLAUDE_PATH": "/bin/true"})
        checks = {check["name"]: check["state"] for check in json.loads(ended.out)["checks"]}
        assert (ended.code, checks["configuration"], "port" in checks) == (1, "fail", True)

    def test_run_directory_is_too_long(self, hyperhive: Program) -> None:
        """So is a run directory without room for a socket."""
        self.check(hyperhive, "run directory", HYPERHIVE_RUN_DIR="/tmp/" + "x" * 30)

    def test_sandbox_is_essential_unless_given_up(self, hyperhive: Program) -> None:
        """Under auto the sandbox is tried for real: it works, or that is a fault whose remedy names the way without."""
        code, checks = look(hyperhive, HYPERHIVE_RUNTIME="auto")
        found = checks["sandbox"]
        assert found["found"].startswith("bubblewrap: ")
        assert (found["state"], "--runtime process" in found["remedy"]) == (
            ("ok", False) if code == 0 else ("fail", True)
        )


class TestLogins:
    """Agents' own logins."""

    def test_of_agents_are_found(self, hyperhive: Program) -> None:
        """An agent that logged in by itself is named."""
        kept = hyperhive.data / "agents" / "coder" / "state" / ".claude" / ".credentials.json"
        kept.parent.mkdir(parents=True)
        kept.write_text("{}")
        _, checks = look(hyperhive)
        assert (checks["credentials"]["state"], checks["credentials"]["found"]) == ("ok", "logins of coder")


def make_database(path: Path, revision: str) -> None:
    """Make a file at some revision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    connection.close()
