"""`hyperhive logs`: the end of a file, and what follows."""

from __future__ import annotations

import io
import json
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.cli import tail
from tests.cli.host import ScriptedHost
from tests.cli.program import Program, read_until


@given(
    lines=st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=30),
    wanted=st.integers(0, 40),
    ended=st.booleans(),
)
def test_last_lines_are_the_last_lines(lines: list[bytes], wanted: int, ended: bool) -> None:
    """For any file, with or without a last newline: exactly its last lines, and the position at its end."""
    content = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    opened = io.BytesIO(content)
    kept = content.splitlines(keepends=True) if b"\r" not in content else None
    found = tail.last_lines(opened, wanted)
    assert opened.tell() == len(content)
    assert content.endswith(found)
    if kept is not None:
        assert found == b"".join(kept[len(kept) - min(wanted, len(kept)) :])


def test_last_lines_across_blocks() -> None:
    """Lines longer than what is read at once are found whole."""
    content = b"".join(bytes([65 + index]) * 70_000 + b"\n" for index in range(6))
    assert tail.last_lines(io.BytesIO(content), 2) == content[-2 * 70_001 :]


@pytest.fixture
def log(hyperhive: Program, host: ScriptedHost) -> Path:
    """Give a log that the daemon names."""
    path = hyperhive.home / "harness.log"
    path.write_bytes(b"one\ntwo\nthree\n")
    host.answers["logs"] = {"logs": {"path": str(path)}}
    return path


class TestLogs:
    """The command itself."""

    def test_shows_the_last_lines(self, hyperhive: Program, log: Path, host: ScriptedHost) -> None:
        """-n LINES shows so many, oldest first."""
        assert hyperhive("logs", "coder", "-n", "2").out == "two\nthree\n"
        assert host.asked("logs") == [{"name": "coder"}]

    def test_unit(self, hyperhive: Program, log: Path, host: ScriptedHost) -> None:
        """--unit names one of the two units, and is the daemon's to understand."""
        assert hyperhive("logs", "coder", "--unit", "hive-ag3nt.service", "-n", "1").out == "three\n"
        assert host.asked("logs") == [{"name": "coder", "unit": "hive-ag3nt.service"}]
        refused = hyperhive("logs", "coder", "--unit", "sshd.service")
        assert (refused.code, "hive-m1nd.service" in refused.err, len(host.requests)) == (2, True, 1)

    @pytest.mark.parametrize("lines", ["5001", "-1", "many"])
    def test_lines_have_bounds(self, hyperhive: Program, log: Path, host: ScriptedHost, lines: str) -> None:
        """At most 5000 lines are shown at once; the refusal says so."""
        refused = hyperhive("logs", "coder", "--lines", lines)
        assert (refused.code, refused.out, host.requests) == (2, "", [])

    def test_goes_on_into_what_was_trimmed(self, hyperhive: Program, log: Path) -> None:
        """Where the log was trimmed just now, the lines before come from its predecessor."""
        log.with_name("harness.log.1").write_bytes(b"minus one\nzero\n")
        assert hyperhive("logs", "coder", "-n", "4").out == "zero\none\ntwo\nthree\n"

    def test_escapes_what_a_container_writes(self, hyperhive: Program, log: Path) -> None:
        """Control characters and broken UTF-8 are shown, not obeyed."""
        log.write_bytes(b"\x1b[31mred\x1b[0m \xff\xc3\xa9\r\nlast")
        assert hyperhive("logs", "coder").out == "\\x1b[31mred\\x1b[0m \\xffé\nlast\n"

    def test_json_lines(self, hyperhive: Program, log: Path) -> None:
        """--json prints an object a line."""
        lines = hyperhive("logs", "coder", "--json").out.splitlines()
        assert [json.loads(line) for line in lines] == [{"line": "one"}, {"line": "two"}, {"line": "three"}]

    @pytest.mark.parametrize("change", ["append", "truncate", "replace"])
    def test_follow(self, hyperhive: Program, log: Path, change: str) -> None:
        """-f shows what is appended, also after the file was emptied or replaced."""
        process = hyperhive.start("logs", "coder", "-f", "-n", "1")
        try:
            assert read_until(process, "three\n") == "three\n"
            match change:
                case "append":
                    with log.open("ab") as opened:
                        opened.write(b"four\n")
                case "truncate":
                    os.truncate(log, 0)
                    with log.open("ab") as opened:
                        opened.write(b"four\n")
                case _:
                    log.unlink()
                    log.write_bytes(b"four\n")
            assert read_until(process, "four\n") == "four\n"
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
        assert process.returncode == 130

    def test_without_a_daemon(self, hyperhive: Program) -> None:
        """A log is read from the data directory when no daemon answers, which is when one needs it most."""
        kept = hyperhive.data / "agents" / "coder" / "harness.log"
        kept.parent.mkdir(parents=True)
        kept.write_text("last words\n")
        ended = hyperhive("logs", "coder")
        assert (ended.code, ended.out, "the daemon is not running" in ended.err) == (0, "last words\n", True)
        assert hyperhive("logs", "nobody").code == 5

    @pytest.mark.parametrize("kind", ["absent", "symlink", "directory", "fifo"])
    def test_what_is_no_log_is_refused(self, hyperhive: Program, log: Path, kind: str) -> None:
        """Only a regular file is read; a link could lead anywhere, and a fifo nowhere."""
        log.unlink()
        match kind:
            case "symlink":
                log.symlink_to("/etc/passwd")
            case "directory":
                log.mkdir()
            case "fifo":
                os.mkfifo(log)
            case _:
                pass
        ended = hyperhive("logs", "coder")
        assert (ended.code, ended.out, "Traceback" in ended.err) == (3, "", False)
