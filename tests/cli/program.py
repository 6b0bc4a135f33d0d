"""Run the real program as people and scripts do: as a process, with pipes or on a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

PROGRAM = (sys.executable, "-m", "hyperhive.cli")
ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 60.0


@attrs.frozen
class Ended:
    """How a run ended; on a terminal, ``out`` is all that it showed."""

    code: int
    out: str
    err: str = ""


@attrs.frozen
class Program:
    """The program with a home, a data and a run directory of its own."""

    home: Path
    data: Path
    run: Path

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return a whole environment: nothing of the machine's gets in."""
        return {
            "HOME": str(self.home),
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONPATH": str(ROOT),
            "HYPERHIVE_DATA_DIR": str(self.data),
            "HYPERHIVE_RUN_DIR": str(self.run),
            **(more or {}),
        }

    def __call__(self, *arguments: str, given: bytes = b"", environment: Mapping[str, str] | None = None) -> Ended:
        """Run with pipes."""
        ended = subprocess.run(
            [*PROGRAM, *arguments],
            input=given,
            capture_output=True,
            env=self.environment(environment),
            cwd=self.home,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start and go on; for what follows until it is told to stop."""
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(),
            cwd=self.home,
        )

    def on_terminal(
        self, *arguments: str, answers: Sequence[tuple[str, str]] = (), environment: Mapping[str, str] | None = None
    ) -> Ended:
        """Run on a terminal of its own; ``answers`` are what to wait for and what to type then."""
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self.environment({"TERM": "xterm", "COLUMNS": "120", **(environment or {})}),
            cwd=self.home,
            start_new_session=True,
        )
        os.close(slave)
        try:
            shown = _converse(master, answers)
            return Ended(process.wait(DEADLINE_SECONDS), shown)
        finally:
            process.kill()
            process.wait()
            os.close(master)


def read_until(process: subprocess.Popen[bytes], wanted: str) -> str:
    """Read a process's stdout until it has said something; fails after the deadline."""
    assert process.stdout is not None
    return _read(process.stdout.fileno(), wanted.encode()).decode()


def _converse(master: int, answers: Sequence[tuple[str, str]]) -> str:
    shown = b""
    for question, answer in answers:
        shown += _read(master, question.encode())
        os.write(master, answer.encode() + b"\n")
    return (shown + _read(master, None)).decode()


def _read(descriptor: int, wanted: bytes | None) -> bytes:
    """Read until something was said; with None, until the end."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    seen = b""
    while wanted is None or wanted not in seen:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"waited {DEADLINE_SECONDS} s for {wanted!r}; seen so far: {seen!r}"
        try:
            chunk = os.read(descriptor, 65_536)
        except OSError:
            chunk = b""  # so a terminal reads at its end
        if not chunk:
            assert wanted is None, f"ended before {wanted!r}; seen: {seen!r}"
            break
        seen += chunk
    return seen
