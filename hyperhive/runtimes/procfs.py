"""Reads /proc: who a process is beyond its reusable number, what it carries, and a signal that hits only it."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import signal
from pathlib import Path

import attrs

_PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)
"""What reading a process raises when it has just ended, or is somebody else's."""


@attrs.frozen(kw_only=True)
class Process:
    """One process: a number is used again, a number with its start (ticks since boot, proc(5)) is not."""

    pid: int
    start_ticks: int

    def started_at(self) -> dt.datetime:
        """When it was started, by the wall clock of now."""
        seconds = self.start_ticks / _TICKS_PER_SECOND
        return dt.datetime.fromtimestamp(_boot_time() + seconds, dt.UTC)


def boot_id() -> str:
    """Return the id of this boot; start ticks of another one mean nothing."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def find(pid: int) -> Process | None:
    """Return the living process of this number; a zombie is not living, unless only its first thread is one."""
    fields = _stat(pid)
    return Process(pid=pid, start_ticks=int(fields[19])) if fields else None


def child(pid: int) -> Process:
    """Return a child that was not waited for, and so has its number, whether it still lives or not."""
    return Process(pid=pid, start_ticks=int(_fields(pid)[19]))


def parent(pid: int) -> int:
    """Return the number of a living process's parent, 0 where it has none here."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def alive(process: Process) -> bool:
    """Whether this very process still lives."""
    return find(process.pid) == process


def pids() -> list[int]:
    """Return the numbers of all processes."""
    return [int(entry.name) for entry in os.scandir(_PROC) if entry.name.isdecimal()]


def children(pid: int) -> list[int]:
    """Return the numbers of a process's children, whichever of its threads started them."""
    try:
        lists = [(task / "children").read_text() for task in (_PROC / f"{pid}/task").iterdir()]
    except _GONE:
        # Gone, or a kernel without CONFIG_PROC_CHILDREN.
        return [child for child in pids() if parent(child) == pid]
    return [int(child) for line in lists for child in line.split()]


def command_line(pid: int) -> tuple[str, ...]:
    """Return its argv, empty where it is gone or a zombie."""
    return tuple(os.fsdecode(argument) for argument in _memory(pid, "cmdline").split(b"\0")[:-1])


def variable(pid: int, name: str) -> str | None:
    """Return a variable of the environment that it was started with, where it may be read."""
    prefix = f"{name}=".encode()
    for entry in _memory(pid, "environ").split(b"\0"):
        if entry.startswith(prefix):
            return os.fsdecode(entry[len(prefix) :])
    return None


def namespace_pids(pid: int) -> tuple[int, ...]:
    """Return its number in each pid namespace, ours first, its own last."""
    try:
        status = (_PROC / str(pid) / "status").read_bytes()
    except _GONE:
        return ()
    for line in status.splitlines():
        if line.startswith(b"NSpid:"):
            return tuple(int(number) for number in line.split()[1:])
    return ()


def send(process: Process, number: signal.Signals) -> None:
    """Signal this very process; nothing happens where it is gone, whoever has its number now."""
    with contextlib.suppress(ProcessLookupError):
        try:
            handle = os.pidfd_open(process.pid)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            # Before Linux 5.3; what is left is the instant between the look and the signal.
            if alive(process):
                os.kill(process.pid, number)
            return
        try:
            if alive(process):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def _boot_time() -> int:
    for line in (_PROC / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return int(line.split()[1])
    raise AssertionError("/proc/stat has no btime")


def _stat(pid: int) -> list[bytes]:
    """Return the fields of a living process, or nothing.

    One whose first thread has ended looks like a zombie, but it lives, and keeps its children, until its last has.
    """
    try:
        fields = _fields(pid)
    except _GONE:
        return []
    state, threads = fields[0], int(fields[17])
    return [] if state in {b"Z", b"X"} and threads <= 1 else fields


def _memory(pid: int, name: str) -> bytes:
    """Return a file that the kernel reads from a process's memory; empty where there is none, or it may not be read.

    A first thread that has ended has no memory any more; the others of the process still have it.
    """
    process = _PROC / str(pid)
    with contextlib.suppress(*_GONE):
        try:
            raw = (process / name).read_bytes()
        except ProcessLookupError:
            raw = b""
        if raw:
            return raw
        for thread in (process / "task").iterdir():
            with contextlib.suppress(*_GONE):
                if raw := (thread / name).read_bytes():
                    return raw
    return b""


def _fields(pid: int) -> list[bytes]:
    """Return the fields of ``stat`` from the third on (proc(5))."""
    stat = (_PROC / str(pid) / "stat").read_bytes()
    # The command in brackets may itself hold brackets and spaces.
    return stat[stat.rindex(b")") + 2 :].split()
