"""Processes on Linux: dying with a parent, adopting orphans, ending a whole tree, giving memory back."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
"""Of prctl, see its man page."""


def die_with_parent() -> None:
    """Ask for a SIGTERM when the thread that started this process ends, however it ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own, so that `kill_descendants` finds it."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def reap_orphans() -> None:
    """Take the exit of adopted processes, and of children that have ended and whose exit nobody waits for."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def kill_descendants(pid: int, *, within_seconds: float = 2.0) -> None:
    """Kill all that came from a process, and not the process itself, until a look finds none alive."""
    deadline = time.monotonic() + within_seconds
    while (living := list(_descendants(pid))) and time.monotonic() < deadline:
        for found in living:
            _kill(found)
        time.sleep(0.005)


def kill_group(group: int) -> None:
    """Kill what is left of a process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def give_back_memory() -> None:
    """Return freed memory to the system, which glibc alone would keep; elsewhere nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _descendants(pid: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names are all that is wanted
        if entry.isdigit() and (parent := _living_parent(int(entry))) is not None:
            children.setdefault(parent, []).append(int(entry))
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            yield child
            waiting.append(child)


def _living_parent(pid: int) -> int | None:
    """Return the parent of a process that has not ended.

    One whose first thread has ended looks like a zombie, but it lives, and keeps its children, until its last has.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read for every process, so without a Path
            # The command's name stands in brackets and may hold any byte: what follows the last bracket counts.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    # As numbered in proc(5): 3 state, 4 ppid, 20 num_threads.
    state, parent, threads = fields[0], int(fields[1]), int(fields[17])
    return None if state in (b"Z", b"X") and threads <= 1 else parent


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")
