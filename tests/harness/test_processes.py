"""Ending what came from a process, wherever it went."""

from __future__ import annotations

import contextlib
import platform
import subprocess
import sys

import psutil
import pytest

from harness import processes
from tests.harness.running import ROOT, gone, wait

# A parent that adopts; a child; a grandchild in a session of its own, whose child survives it as an orphan.
FAMILY = """
import os, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from harness import processes
processes.adopt_orphans()
subprocess.Popen(["setsid", "sh", "-c", "sleep 600 & sleep 600 & wait"])
subprocess.Popen(["sh", "-c", "setsid sleep 601 & exit 0"])
time.sleep(600)
"""


DEPENDENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from harness import processes
processes.die_with_parent()
print("ready", flush=True)
time.sleep(600)
"""
# A child whose first thread ends by exit(2), while a second waits for a grandchild.
HEADLESS = """
import subprocess, sys, time
code = (
    "import ctypes, subprocess, threading, time\\n"
    "child = subprocess.Popen(['sleep', '600'])\\n"
    "threading.Thread(target=child.wait).start()\\n"
    "time.sleep(0.1)\\n"
    "ctypes.CDLL(None).syscall(60, 0)\\n"
)
subprocess.Popen([sys.executable, "-c", code])
time.sleep(600)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"


class TestDieWithParent:
    def test_ends_even_when_the_parent_is_killed(self) -> None:
        """A process that reads nothing and waits for nothing still ends with a parent that is killed."""
        command = [sys.executable, "-c", PARENT, DEPENDENT, str(ROOT)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"ready\n"
            family = psutil.Process(parent.pid).children(recursive=True)
            assert len(family) == 1
            parent.kill()
            try:
                wait(lambda: gone(family))
            finally:
                for process in family:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()


class TestKillDescendants:
    def test_ends_sessions_of_their_own_and_orphans(self) -> None:
        """Neither setsid nor a parent that has gone away saves a process."""
        with subprocess.Popen([sys.executable, "-c", FAMILY, str(ROOT)]) as parent:
            try:
                of_parent = psutil.Process(parent.pid)
                wait(lambda: sum(p.name() == "sleep" for p in of_parent.children(recursive=True)) == 3)
                family = of_parent.children(recursive=True)
                processes.kill_descendants(parent.pid)
                assert gone(family)
                assert parent.poll() is None
            finally:
                parent.kill()

    @pytest.mark.skipif(platform.machine() != "x86_64", reason="knows the number of exit(2) there alone")
    def test_ends_what_only_looks_dead(self) -> None:
        """A process whose first thread has ended shows as a zombie; it and its children are killed all the same."""
        with subprocess.Popen([sys.executable, "-c", HEADLESS]) as parent:
            try:
                of_parent = psutil.Process(parent.pid)
                wait(lambda: any(p.name() == "sleep" for p in of_parent.children(recursive=True)))
                headless, sleep = of_parent.children(recursive=True)
                wait(lambda: headless.status() == psutil.STATUS_ZOMBIE)
                processes.kill_descendants(parent.pid)
                assert gone([sleep])
                wait(lambda: headless.num_threads() <= 1)
            finally:
                parent.kill()

    def test_nothing_to_end_is_fine(self) -> None:
        """A process without children, and one that does not exist, have nothing to kill."""
        with subprocess.Popen(["sleep", "600"]) as alone:
            processes.kill_descendants(alone.pid)
            assert alone.poll() is None
            alone.kill()
        processes.kill_descendants(alone.pid)
        processes.kill_group(alone.pid)
