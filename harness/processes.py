"""Processes on Linux: dying with a parent, adopting orphans, ending a whole tree, giving memory back."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from typing import NamedTuple

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
    """Kill all that came from a process, and not the process itself, until none of it lives.

    What was found once counts also when its parent has died and it is another's child, while it still dies itself.
    """
    deadline = time.monotonic() + within_seconds
    found: dict[int, int] = {}
    while True:
        found.update(_descendants(pid))
        living = [number for number, started in found.items() if (seen := _look(number)) and seen.started == started]
        if not living or time.monotonic() >= deadline:
            return
        for number in living:
            _kill(number)
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


class _Seen(NamedTuple):
    """A process that has not ended."""

    parent: int
    started: int
    """In ticks since the system's start: with its number, what it is and no later one."""


def _descendants(pid: int) -> Iterator[tuple[int, int]]:
    """Yield the number of each descendant, and when it started."""
    children: dict[int, list[tuple[int, int]]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names are all that is wanted
        if entry.isdigit() and (seen := _look(int(entry))) is not None:
            children.setdefault(seen.parent, []).append((int(entry), seen.started))
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            yield child
            waiting.append(child[0])


def _look(pid: int) -> _Seen | None:
    """Return what is to know of a process that has not ended.

    One whose first thread has ended looks like a zombie, but it lives, and keeps its children, until its last has.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read for every process, so without a Path
            # The command's name stands in brackets and may hold any byte: what follows the last bracket counts.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    # As numbered in proc(5): 3 state, 4 ppid, 20 num_threads, 22 starttime.
    state, parent, threads, started = fields[0], int(fields[1]), int(fields[17]), int(fields[19])
    return None if state in (b"Z", b"X") and threads <= 1 else _Seen(parent, started)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")
