"""Finds out who holds a lock file: the kernel's own word, which no crash can leave behind."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable
from pathlib import Path

import attrs

from hyperhive.runtimes import procfs


@attrs.frozen(kw_only=True)
class Holder:
    """A process that holds a lock, and when it began."""

    pid: int
    since: dt.datetime

    def __str__(self) -> str:
        """Show it in this machine's zone."""
        return f"pid {self.pid}, since {self.since.astimezone():%Y-%m-%d %H:%M:%S}"


def holder_of(file: Path) -> Holder | None:
    """Return who holds a file locked with flock(2); None where nobody does, or the kernel does not say.

    proc_locks(5) has the inode; where the holder's open files may be read, they prove that it is this file's.
    """
    try:
        inode = file.stat().st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        # 1: FLOCK  ADVISORY  WRITE 10482 fe:00:2198234 0 EOF; one that waits has an arrow after the number.
        match line.split():
            case [_, "FLOCK", _, _, pid, device_and_inode, *_] if device_and_inode.endswith(f":{inode}"):
                process = procfs.find(int(pid))
                if process is not None and _has_open(process.pid, file):
                    return Holder(pid=process.pid, since=process.started_at())
    return None


def _has_open(pid: int, file: Path) -> bool:
    try:
        return any(map(_is(file), Path(f"/proc/{pid}/fd").iterdir()))
    except PermissionError:
        return True  # another user's: the inode alone has to do
    except FileNotFoundError:
        return False


def _is(file: Path) -> Callable[[Path], bool]:
    def is_file(opened: Path) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return opened.samefile(file)
        return False  # closed meanwhile

    return is_file
