"""The relay keeps what it can of an output, and never stops reading it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hyperhive.runtimes.keeper import relay_argv
from hyperhive.runtimes.logs import earlier

MIB = 1024 * 1024
LIMIT = MIB // 4


@contextmanager
def relay(log: Path) -> Iterator[IO[bytes]]:
    """Run a relay, give what it reads from, and see it end with its input."""
    with subprocess.Popen(relay_argv(log, LIMIT), stdin=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin
        yield process.stdin
        process.stdin.close()
        assert process.wait(20) == 0


def test_all_of_it(tmp_path: Path) -> None:
    """What fits is appended, byte for byte, to what was there."""
    log = tmp_path / "a log"
    log.write_bytes(b"before\n")
    with relay(log) as output:
        output.write(b"one\n\x00\xff")
        output.write(b"two")
    assert log.read_bytes() == b"before\none\n\x00\xfftwo"


def test_full(tmp_path: Path) -> None:
    """A full log becomes the earlier one, and the newest output is in the log."""
    log = tmp_path / "log"
    with relay(log) as output:
        for _ in range(3 * LIMIT // 1024):
            output.write(b"x" * 1023 + b"\n")
        output.write(b"the end\n")
    assert earlier(log).stat().st_size == LIMIT
    assert log.stat().st_size <= LIMIT
    assert log.read_bytes().endswith(b"the end\n")


def test_nowhere_to_write(tmp_path: Path) -> None:
    """Output that can be kept nowhere is dropped, and what comes later is kept once it can be."""
    log = tmp_path / "later" / "log"
    with relay(log) as output:
        output.write(b"x" * 4 * MIB)
        log.parent.mkdir()
        output.write(b"x" * MIB + b"still here\n")
    assert log.read_bytes().endswith(b"still here\n")
