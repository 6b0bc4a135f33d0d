"""Puts a program of an agent's sandbox on a person's terminal, with a terminal of its own in between."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Sequence

_READ_BYTES = 65_536
_NOT_FOUND = 127  # as a shell says it


def attach(argv: Sequence[str]) -> int:
    """Run a program on this terminal and return its exit status, as a shell's ``$?``.

    It gets a terminal of its own, so that it cannot type into this one (TIOCSTI) once it has ended; what it prints is
    passed on as it is. Without a terminal it is simply run, in a session of its own.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _as_shell(subprocess.call(argv, start_new_session=True))
    outer = sys.stdin.fileno()
    child, inner = pty.fork()
    if child == 0:
        _become(argv)
    before = termios.tcgetattr(outer)
    resized = signal.signal(signal.SIGWINCH, lambda *_: _copy_size(outer, inner))
    try:
        _copy_size(outer, inner)
        # Not TCSAFLUSH, which would lose what has been typed ahead.
        tty.setraw(outer, termios.TCSADRAIN)
        _relay(outer, inner)
    finally:
        termios.tcsetattr(outer, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, resized)
        # Hangs up whatever still has that terminal.
        os.close(inner)
    return _as_shell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _become(argv: Sequence[str]) -> None:
    try:
        os.execvp(argv[0], tuple(argv))  # noqa: S606 - there is no shell by intent
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\r\n".encode())
        os._exit(_NOT_FOUND)


def _relay(outer: int, inner: int) -> None:
    """Pass bytes both ways until the program's terminal is closed."""
    readable = [outer, inner]
    while True:
        ready, _, _ = select.select(readable, [], [])
        if inner in ready:
            try:
                said = os.read(inner, _READ_BYTES)
            except OSError:  # EIO: Linux's way to say that nobody holds the other end any more
                return
            if not said:
                return
            _write(sys.stdout.fileno(), said)
        if outer in ready:
            typed = os.read(outer, _READ_BYTES)
            if typed:
                _write(inner, typed)
            else:
                readable.remove(outer)


def _write(fd: int, left: bytes) -> None:
    while left:
        left = left[os.write(fd, left) :]


def _copy_size(outer: int, inner: int) -> None:
    size = fcntl.ioctl(outer, termios.TIOCGWINSZ, b"\0" * 8)
    fcntl.ioctl(inner, termios.TIOCSWINSZ, size)


def _as_shell(status: int) -> int:
    return 128 - status if status < 0 else status
