"""A rehearsal of its own, from the command line."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.rehearsal.speak import speak
from tests.rehearsal.talk import request, told


def run(*arguments: str) -> subprocess.Popen[str]:
    """Start the program."""
    argv = [sys.executable, "-m", "hyperhive.rehearsal", *arguments]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class TestProgram:
    """The program, from its start to its end."""

    def test_serves_a_file_until_it_is_told_to_end(self, tmp_path: Path) -> None:
        """The URL is printed, requests are answered, what nothing fits is reported, SIGTERM ends it with 0."""
        file = tmp_path / "bees.toml"
        file.write_text('[[rule]]\ncontains = "hello"\ntext = "hi"\n')
        with run(str(file)) as program:
            assert program.stdout is not None
            url = program.stdout.readline().strip()
            assert speak(url, body=request(told("hello"))).json()["content"][0]["text"] == "hi"
            assert speak(url, body=request(told("what?"))).status == 400
            program.send_signal(signal.SIGTERM)
            out, errors = program.communicate(timeout=60)
        assert (out, program.returncode) == ("", 0)
        assert errors.startswith("the rehearsal's scenario has no rule for this request: coder, step 1")

    def test_mistake_is_told_without_a_traceback(self, tmp_path: Path) -> None:
        """A scenario that cannot be used, or a host that may not be, ends with 1 and one line."""
        file = tmp_path / "bees.toml"
        file.write_text("[[rule]]\n")
        fine = tmp_path / "fine.toml"
        fine.write_text("[default]\ntext = 'x'\n")
        for arguments, message in (
            ((str(file),), f"error: {file}: rule 1: says nothing; give text, call, thinking or error\n"),
            (
                (str(fine), "--host", "192.0.2.1"),
                "error: '192.0.2.1' is not a loopback address; a rehearsal listens on",
            ),
        ):
            with run(*arguments) as program:
                _, errors = program.communicate(timeout=60)
            assert program.returncode == 1
            assert errors.startswith(message)
            assert errors.count("\n") == 1
