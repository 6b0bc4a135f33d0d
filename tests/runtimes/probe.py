"""Runs inside a sandbox, as an agent that tries whatever it can, and writes down what came of it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import socket
import sys
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH = 16
CLONE_NEWUSER = 0x10000000
AF_PACKET_ALL = 3


def outcome(act: Any, *arguments: Any) -> str:
    """Try it, and name the error that came of it, or what it gave."""
    try:
        result = act(*arguments)
    except OSError as error:
        return type(error).__name__ if type(error) is not OSError else os.strerror(error.errno or 0)
    return f"did: {result!r}"


def call(name: str, *arguments: Any) -> str:
    """Call libc's function and name its error."""
    if getattr(libc, name)(*arguments) == -1:
        return os.strerror(ctypes.get_errno())
    return "did"


def write(path: str) -> str:
    """Try to make a file."""
    return outcome(Path(path).write_text, "x")


def environments() -> str:
    """Return every environment that /proc shows."""
    seen = ""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                seen += (entry / "environ").read_text(errors="replace")
    return seen


def writable_kernel_files() -> list[str]:
    """Return what of /proc outside the processes' own directories may be written."""
    found = []
    for directory, below, files in os.walk("/proc"):
        if directory == "/proc":
            below[:] = [name for name in below if not name.isdecimal() and name not in {"self", "thread-self"}]
        paths = [Path(directory, name) for name in files]
        # What is hidden is /dev/null, which anyone may write.
        found += [str(path) for path in paths if os.access(path, os.W_OK) and not path.is_char_device()]
    return found


def names(directory: str) -> list[str]:
    """Return what lies in a directory."""
    return sorted(path.name for path in Path(directory).iterdir())


def tree(*roots: str) -> list[str]:
    """Return every path below these directories."""
    return [
        str(Path(directory, name))
        for root in roots
        for directory, below, files in os.walk(root)
        for name in [*below, *files]
    ]


def report(question: dict[str, Any]) -> dict[str, Any]:
    """Try everything."""
    pid = question["pid"]
    Path("/tmp/mine").write_text("x")
    return {
        "host_name": socket.gethostname(),
        "uid": os.getuid(),
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "processes": sorted(int(name) for name in names("/proc") if name.isdecimal()),
        "environments": environments(),
        "root": names("/"),
        "tmp": names("/tmp"),
        "run": tree("/run"),
        "etc": tree("/etc"),
        "beside_python": {path: names(path) for path in question["listed"] if Path(path).is_dir()},
        "hidden": [path for path in question["hidden"] if os.path.lexists(path)],
        "writes": {path: write(path) for path in question["written"]},
        "kernel": writable_kernel_files(),
        "signal": outcome(os.kill, pid, 0),
        "ptrace": call("ptrace", PTRACE_ATTACH, pid, 0, 0),
        "mount": call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "remount": call("mount", b"none", b"/usr", None, 32 | 4096, None),
        "namespace": call("unshare", CLONE_NEWUSER),
        "device": outcome(os.mknod, "/state/device", 0o60600, os.makedev(8, 0)),
        "raw": outcome(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, AF_PACKET_ALL),
        "chroot": outcome(os.chroot, "/tmp"),
        "status": {
            line.split(":")[0]: line.split(":")[1].strip()
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith(("Cap", "NoNewPrivs", "Groups"))
        },
    }


Path("report").write_text(json.dumps(report(json.loads(Path("question").read_text()))))
Path("runs").touch()
sys.stdin.read()
