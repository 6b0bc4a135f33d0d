"""Someone at a terminal, for programs that need one."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
from collections.abc import Sequence

from tests.runtimes.home import PATIENCE_SECONDS

ATTACH = "import sys; from hyperhive.runtimes.terminal import attach; sys.exit(attach(sys.argv[1:]))"
ENVIRONMENT = {"PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"]}


class Person:
    """Someone at a terminal, who has started a program there through `attach`."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
            os.execve(sys.executable, (sys.executable, "-c", ATTACH, *argv), ENVIRONMENT)  # noqa: S606 - of itself
        self.seen = ""

    def sees(self, text: str) -> None:
        """Wait until this stands on the screen, or the program has ended."""
        while text not in self.seen and self._looks():
            pass
        assert text in self.seen

    def types(self, text: str) -> None:
        """Press keys."""
        os.write(self.terminal, text.encode())

    def resizes(self, rows: int, columns: int) -> None:
        """Change the window."""
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def exit_status(self) -> int:
        """Look on until the end."""
        while self._looks():
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.terminal)
        return status

    def _looks(self) -> bool:
        ready, _, _ = select.select([self.terminal], [], [], PATIENCE_SECONDS)
        assert ready, f"nothing more came after {self.seen!r}"
        try:
            self.seen += os.read(self.terminal, 65536).decode()
        except OSError:  # EIO: the program has ended
            return False
        return True
