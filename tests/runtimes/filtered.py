"""Runs as a process of its own: makes system calls, loads the filter named on its command line, makes them again."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import pty
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
UPPER = 1 << 32
"""A bit that the kernel does not look at where it takes 32."""


def call(number: int, *arguments: int) -> str:
    """Make a system call, and name its error or say that it was done."""
    words = [ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments)]
    ctypes.set_errno(0)
    if libc.syscall(*words) == -1:
        return errno.errorcode[ctypes.get_errno()]
    return "did"


def descriptors() -> set[str]:
    """Name what is open."""
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def opened(number: int, family: int, kind: int, *more: int) -> str:
    """Make a socket, and close it."""
    before = descriptors()
    said = call(number, family, kind, *more)
    for descriptor in descriptors() - before:
        try:
            os.close(int(descriptor))
        except OSError:
            continue
    return said


def load(program: bytes) -> None:
    """Let the kernel take the filter, as bubblewrap does."""
    instructions = ctypes.create_string_buffer(program)
    fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0) == 0, os.strerror(ctypes.get_errno())


def daily() -> str:
    """Do what every agent's programs do: threads, a child, a pipe, a connection, a terminal's size."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append("thread"))
    thread.start()
    thread.join()
    child = os.fork()
    if child == 0:
        os._exit(3)
    found.append(f"child {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")
    one, other = socket.socketpair()
    one.sendall(b"x")
    found.append(f"pair {other.recv(1).decode()}")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        found.append("loopback")
    ours, theirs = pty.openpty()
    found.append(f"terminal {os.get_terminal_size(theirs).columns}")
    os.close(ours)
    os.close(theirs)
    return ", ".join(found)


def tried(told: dict[str, Any]) -> dict[str, Any]:
    """Try everything, with arguments that no call can do anything with."""
    ours, theirs = pty.openpty()
    letter = ctypes.create_string_buffer(b"x")
    numbers = told["numbers"]
    typing = {name: (theirs, value, ctypes.addressof(letter)) for name, value in told["ioctls"].items()}
    found = {
        "refused": {name: call(number, *[-1] * 6) for name, number in told["refused"].items()},
        "clone3": call(numbers["clone3"], -1, -1),
        "namespaces": {name: call(numbers["clone"], flag | 17, -1) for name, flag in told["namespaces"].items()},
        "families": [opened(numbers["socket"], family, 2, 0) for family in range(46)],
        "families_above": [opened(numbers["socket"], family + UPPER, 2, 0) for family in (17, 40)],
        "pairs": [opened(numbers["socketpair"], family, 1, 0, -1) for family in (1, 40)],
        "typing": {name: call(numbers["ioctl"], *words) for name, words in typing.items()},
        "typing_above": {
            name: call(numbers["ioctl"], terminal, value + UPPER, letter_at)
            for name, (terminal, value, letter_at) in typing.items()
        },
        "daily": daily(),
    }
    os.close(ours)
    os.close(theirs)
    return found


def main() -> None:
    """Report before and after."""
    told = json.loads(Path(sys.argv[1]).read_text())
    # What would be done without the filter is not tried without it.
    before = {"refused": {name: call(number, *[-1] * 6) for name, number in told["refused"].items()}, "daily": daily()}
    load(bytes.fromhex(told["program"]))
    print(json.dumps({"before": before, "after": tried(told)}))  # noqa: T201 - that is the report


if __name__ == "__main__":
    main()
