"""A program on a person's terminal behaves as if it had it, and has another one."""

from __future__ import annotations

import fcntl
import struct
import subprocess
import sys

import pytest

from tests.runtimes.person import ATTACH, ENVIRONMENT, Person

TIOCGPTN = 0x80045430  # asm-generic/ioctls.h


def test_talk_and_status() -> None:
    """What is typed arrives, what is printed is seen, and the exit status is the program's."""
    person = Person(("sh", "-c", 'read answer; echo "got $answer"; exit 7'))
    person.types("hello\r")
    person.sees("got hello")
    assert person.exit_status() == 7


def test_window() -> None:
    """The program knows the window's size, also when it changes."""
    person = Person(("sh", "-c", "trap 'stty size; exit' WINCH; stty size; while :; do sleep 0.05; done"))
    person.sees("33 77")
    person.resizes(40, 120)
    person.sees("40 120")
    assert person.exit_status() == 0


def test_interrupt() -> None:
    """Ctrl-C is the program's, and a death by signal shows as a shell shows it."""
    person = Person(("sh", "-c", "echo ready; exec sleep 1000"))
    person.sees("ready")
    person.types("\x03")
    assert person.exit_status() == 130


def test_terminal_of_its_own() -> None:
    """The program's terminal is not the person's, so nothing can be typed into theirs."""
    person = Person(("sh", "-c", "echo mine: $(tty)."))
    (outer,) = struct.unpack("I", fcntl.ioctl(person.terminal, TIOCGPTN, b"\0" * 4))
    person.sees("mine: /dev/pts/")
    person.sees(".")
    person.exit_status()
    assert f"mine: /dev/pts/{outer}." not in person.seen


def test_not_there() -> None:
    """A program that cannot be run says so, with a shell's status."""
    person = Person(("/nowhere/claude",))
    person.sees("/nowhere/claude: No such file or directory")
    assert person.exit_status() == 127


@pytest.mark.parametrize(("script", "status"), [("exit 3", 3), ("kill -9 $$", 137), ("[ -t 0 ] || exit 4", 4)])
def test_without_a_terminal(script: str, status: int) -> None:
    """Without a terminal the program is run as it is, and its status is had."""
    argv = (sys.executable, "-c", ATTACH, "sh", "-c", script)
    assert subprocess.run(argv, stdin=subprocess.DEVNULL, env=ENVIRONMENT, check=False).returncode == status
