"""What every command owes people and scripts: streams, exit codes, no traceback, no control characters."""

from __future__ import annotations

import json
import os
import socket
import subprocess

import pytest

from hyperhive.cli.terminal import safe
from tests.cli.host import ScriptedHost
from tests.cli.program import PROGRAM, Program

ROW = {"name": "coder", "running": True, "failed": False, "status_text": None}


class TestExitCodes:
    """What a script can tell from the exit code."""

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("invalid", 2),
            ("too_large", 2),
            ("not_found", 3),
            ("conflict", 4),
            ("forbidden", 6),
            ("unavailable", 1),
            ("whatever", 1),
            (None, 1),
            ([], 1),
        ],
    )
    def test_follow_the_refusal(self, hyperhive: Program, host: ScriptedHost, code: object, expected: int) -> None:
        """Each refusal of the daemon has its exit code, its reason on stderr and nothing on stdout."""
        host.answers["spawn"] = {"ok": False, "error": "because", "code": code}
        ended = hyperhive("spawn", "coder")
        assert (expected, "", "hyperhive: because\n") == (ended.code, ended.out, ended.err)

    def test_5_without_a_daemon(self, hyperhive: Program) -> None:
        """Without a daemon: 5, the socket's path, the command that starts one."""
        ended = hyperhive("ps")
        assert (ended.code, ended.out) == (5, "")
        assert (
            f"hyperhive: the daemon is not running (no answer at {hyperhive.run}/host.sock); "
            "start it with: hyperhive serve\n"
        ) == ended.err

    def test_5_with_a_socket_that_nobody_serves(self, hyperhive: Program) -> None:
        """A socket left by a killed daemon is no daemon."""
        hyperhive.run.mkdir()
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(hyperhive.run / "host.sock"))
        assert hyperhive("ps").code == 5

    def test_2_for_a_name_that_is_none(self, hyperhive: Program, host: ScriptedHost) -> None:
        """A wrong name is refused with what a name is, before the daemon is asked."""
        ended = hyperhive("start", "../coder")
        assert (ended.code, host.requests) == (2, [])
        assert "'../coder' is not an agent's name; a name is 1 to 60 of a-z, 0-9 and -" in ended.err

    @pytest.mark.parametrize(
        "answer", [b"", b'{"version":1,"ok":true', b"rubbish\n", b"[]\n", b'{"version":1,"ok":tr\n']
    )
    def test_1_for_an_answer_that_is_none(self, hyperhive: Program, host: ScriptedHost, answer: bytes) -> None:
        """Half a line, rubbish or silence is a failure with a reason, not a traceback."""
        host.answers["agent_status"] = answer
        ended = hyperhive("ps")
        assert (ended.code, ended.out, "Traceback" in ended.err) == (1, "", False)
        assert str(host.path) in ended.err

    def test_1_for_another_version(self, hyperhive: Program, host: ScriptedHost) -> None:
        """A daemon that speaks another version is named as such."""
        host.answers["agent_status"] = {"version": 2}
        ended = hyperhive("ps")
        assert (ended.code, "speaks version 2 and this program version 1" in ended.err) == (1, True)

    def test_130_when_interrupted(self, hyperhive: Program, host: ScriptedHost) -> None:
        """Ctrl-C in a wait ends it without a traceback."""
        host.answers["restart"] = {}
        host.answers["agent_status"] = {"agent_statuses": [ROW | {"pending": "restarting"}]}
        process = hyperhive.start("restart", "coder")
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(2)
        _, rest = process.communicate(timeout=30)
        assert (first, process.returncode, b"Traceback" in rest) == (b"coder: restarting\xe2\x80\xa6\n", 130, False)


class TestStreams:
    """Pipes, disks and terminals that fail."""

    def test_closed_pipe_is_no_error(self, hyperhive: Program, host: ScriptedHost) -> None:
        """A reader that leaves early ends the program quietly, with what a shell reports for SIGPIPE."""
        host.answers["agent_status"] = {"agent_statuses": [ROW]}
        reading, writing = os.pipe()
        os.close(reading)
        ended = subprocess.run(
            [*PROGRAM, "ps"], stdout=writing, stderr=subprocess.PIPE, env=hyperhive.environment(), check=False
        )
        os.close(writing)
        assert (ended.returncode, ended.stderr) == (141, b"")

    def test_full_disk_is_said(self, hyperhive: Program, host: ScriptedHost) -> None:
        """Output that cannot be written is a failure with the reason."""
        host.answers["agent_status"] = {"agent_statuses": [ROW]}
        with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
            ended = subprocess.run(
                [*PROGRAM, "ps"], stdout=full, stderr=subprocess.PIPE, env=hyperhive.environment(), check=False
            )
        assert (
            ended.returncode,
            b"No space left on device" in ended.stderr,
            b"Traceback" in ended.stderr,
        ) == (1, True, False)

    def test_narrow_encoding_gets_escapes(self, hyperhive: Program, host: ScriptedHost) -> None:
        """What an encoding cannot say is escaped and not a failure."""
        host.answers["agent_status"] = {"agent_statuses": [ROW | {"status_text": "🐝"}]}
        ended = hyperhive("ps", environment={"PYTHONIOENCODING": "latin-1"})
        assert (ended.code, "\\U0001f41d" in ended.out) == (0, True)


class TestPlaces:
    """Options that every command takes."""

    def test_before_or_after_the_command(self, hyperhive: Program, host: ScriptedHost) -> None:
        """--run-dir may stand on either side of the command, and wins over the environment."""
        host.answers["agent_status"] = {"agent_statuses": [ROW]}
        elsewhere = {"HYPERHIVE_RUN_DIR": "/nonexistent"}
        run = str(hyperhive.run)
        assert hyperhive("--run-dir", run, "ps", environment=elsewhere).code == 0
        assert hyperhive("ps", "--run-dir", run, environment=elsewhere).code == 0
        assert hyperhive("--run-dir", "/nowhere", "ps", "--run-dir", run, environment=elsewhere).code == 0
        assert hyperhive("ps", environment=elsewhere).code == 5

    def test_empty_one_is_refused(self, hyperhive: Program) -> None:
        """An empty directory, as an unset shell variable leaves it, is an error and not the current one."""
        ended = hyperhive("ps", "--run-dir", "")
        assert (ended.code, ended.err) == (1, "hyperhive: --run-dir is ''; right would be the path of a directory\n")


class TestAgentsText:
    """What untrusted text may do to a terminal: nothing."""

    EVIL = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202egnp.exe\x00\n\ttail"

    def test_is_escaped_for_people(self, hyperhive: Program, host: ScriptedHost) -> None:
        """What an agent writes cannot move the cursor, set the title, or break a line of the table."""
        host.answers["agent_status"] = {"agent_statuses": [ROW | {"status_text": self.EVIL}]}
        for shown in (hyperhive("ps").out, hyperhive.on_terminal("ps", environment={"NO_COLOR": "1"}).out):
            assert not set(self.EVIL) & set("\x07\x9b\u202e\x00") & set(shown)
            assert "\\x1b]0;owned\\x07\\x1b[2J" in shown.replace("\r\n", "\n")

    def test_is_escaped_in_errors(self, hyperhive: Program, host: ScriptedHost) -> None:
        """Nor can it through an error of the daemon that quotes it."""
        host.answers["spawn"] = {"ok": False, "error": self.EVIL, "code": "invalid"}
        assert "\x1b" not in hyperhive("spawn", "coder").err

    def test_is_exact_in_json(self, hyperhive: Program, host: ScriptedHost) -> None:
        """JSON carries it exactly, and still nothing that a terminal would obey."""
        host.answers["agent_status"] = {"agent_statuses": [ROW | {"status_text": self.EVIL}]}
        ended = hyperhive("ps", "--json")
        assert json.loads(ended.out)[0]["status_text"] == self.EVIL
        assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(ended.out)

    def test_letters_of_all_scripts_stay(self) -> None:
        """Only what controls is escaped."""
        text = "naïve 日本語 🐝 עברית ‍"
        assert safe(text) == text


class TestColour:
    """When there is none."""

    def test_none_where_it_is_unwanted(self, hyperhive: Program, host: ScriptedHost) -> None:
        """NO_COLOR and pipes get no colour codes."""
        host.answers["agent_status"] = {"agent_statuses": [ROW]}
        plain = hyperhive.on_terminal("ps", environment={"NO_COLOR": "1"}).out
        assert "\x1b[3" not in plain
        assert "\x1b" not in hyperhive("ps").out
        assert "coder" in plain
