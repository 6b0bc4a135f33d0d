"""What /proc says of processes in odd states."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import attrs
import pytest

from hyperhive.runtimes import marks, procfs
from hyperhive.runtimes.procfs import Process

DEADLINE_SECONDS = 60.0

HEADLESS = """
import ctypes, subprocess, sys, threading

def live():
    child = subprocess.Popen(["/bin/sleep", "600"], env={})
    print(child.pid, flush=True)
    sys.stdin.read()
    child.kill()
    child.wait()

threading.Thread(target=live).start()
ctypes.CDLL(None).pthread_exit(None)
"""
"""Its first thread has ended, another lives on with a child that carries no mark, until stdin ends."""


@attrs.frozen
class Headless:
    """A process without its first thread, and its child."""

    popen: subprocess.Popen[bytes]
    child: int

    @property
    def pid(self) -> int:
        """Its number."""
        return self.popen.pid


def until(what: str, met: Callable[[], bool]) -> None:
    """Look again and again until it is so."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not met():
        assert time.monotonic() < end, f"waited for: {what}"
        time.sleep(0.005)


def state_of(pid: int) -> str:
    """Return the letter that the kernel shows for a process (its first thread's)."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123 - as the code under test does
        return file.read().rpartition(")")[2].split()[0]


@pytest.fixture
def headless() -> Iterator[Headless]:
    """Give a process whose first thread has ended and whose second has not."""
    environment = {**os.environ, marks.MARK: marks.mark("test-hive", "coder", 3)}
    popen = subprocess.Popen(
        [sys.executable, "-c", HEADLESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert popen.stdin is not None
    assert popen.stdout is not None
    with popen:
        child = int(popen.stdout.readline())
        until("the first thread has ended", lambda: state_of(popen.pid) == "Z")
        try:
            yield Headless(popen, child)
        finally:
            popen.stdin.close()
            if popen.wait(DEADLINE_SECONDS) != 0 and (orphan := procfs.find(child)) is not None:
                procfs.send(orphan, signal.SIGKILL)


class TestFirstThreadHasEnded:
    """A process that the kernel shows as a zombie although it lives."""

    def test_lives(self, headless: Headless) -> None:
        """It is found with its parent, and is alive until its last thread has ended."""
        process = procfs.find(headless.pid)
        assert process is not None
        assert procfs.alive(process)
        assert procfs.parent(headless.pid) == os.getpid()
        assert headless.popen.stdin is not None
        headless.popen.stdin.close()
        until("it has ended", lambda: not procfs.alive(process))
        # Nobody has waited for it yet: now it is a zombie indeed.
        assert state_of(headless.pid) == "Z"
        assert procfs.find(headless.pid) is None

    def test_keeps_what_it_was_started_with(self, headless: Headless) -> None:
        """Its command line and its mark are read from a thread that lives, so that it is found by them."""
        assert procfs.command_line(headless.pid) == (sys.executable, "-c", HEADLESS)
        found = marks.scan("test-hive", believed=lambda _: True)
        assert [(each.process.pid, each.generation) for each in found["coder"]] == [(headless.pid, 3)]

    def test_is_a_parent(self, headless: Headless) -> None:
        """Its children belong to its tree, so that the end of the tree is theirs, too."""
        root = procfs.find(headless.pid)
        assert root is not None
        tree = marks.with_descendants([root])
        assert {process.pid for process in tree} == {headless.pid, headless.child}

    def test_dies_by_a_signal(self, headless: Headless) -> None:
        """A signal reaches what lives of it."""
        process = procfs.find(headless.pid)
        assert process is not None
        procfs.send(process, signal.SIGKILL)
        assert headless.popen.wait(DEADLINE_SECONDS) == -signal.SIGKILL


def test_gone() -> None:
    """Of a process that has ended and was waited for nothing is known; of one that was not waited for, its number."""
    with subprocess.Popen(["/bin/true"]) as ended:
        until("it has ended", lambda: state_of(ended.pid) == "Z")
        kept: Process = procfs.child(ended.pid)
        assert (kept.pid, procfs.alive(kept), procfs.command_line(ended.pid)) == (ended.pid, False, ())
    assert (procfs.find(ended.pid), procfs.parent(ended.pid), procfs.variable(ended.pid, "PATH")) == (None, 0, None)
