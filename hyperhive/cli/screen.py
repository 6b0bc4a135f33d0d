"""A whole terminal for one program: keys in, pages out; it is told when its size changes, and left as it was found."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType

from rich.cells import set_cell_size

from hyperhive.cli.terminal import safe

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""The other screen, without its cursor, and back."""
_KEYS = {
    "\x1b[C": "right",
    "\x1bOC": "right",
    "\x1b[D": "left",
    "\x1bOD": "left",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x1b[1~": "home",
    "\x1b[F": "end",
    "\x1b[4~": "end",
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x04": "eof",
}
_TOKEN = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Z]|.", re.DOTALL)
RESIZED = "resized"
CLOSED = "closed"


class Screen:
    """The terminal while it is ours; use `screen`."""

    def __init__(self, resized: int) -> None:
        self._resized = resized

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, at least some."""
        found = shutil.get_terminal_size() if not sys.stdout.isatty() else os.get_terminal_size(sys.stdout.fileno())
        return max(20, found.columns), max(4, found.lines)

    def show(self, lines: list[str]) -> None:
        """Write a page: each line cut to the width, what controls a terminal escaped; the first one stands out."""
        width, height = self.size
        cells = [set_cell_size(safe(line), width - 1).rstrip() for line in lines[:height]]
        head, *rest = cells or [""]
        written = [f"\x1b[7m{head}\x1b[0m", *rest]
        # Each line ends with what erases the rest of it: no flicker, and nothing left of a larger page.
        sys.stdout.write("\x1b[H" + "\x1b[K\n".join(written) + "\x1b[K\x1b[J")
        sys.stdout.flush()

    def pressed(self) -> Iterator[str]:
        """Yield keys by their name or as themselves, and ``resized``; ``closed`` when the terminal has gone."""
        while True:
            ready, _, _ = select.select([sys.stdin.fileno(), self._resized], [], [])
            if self._resized in ready:
                os.read(self._resized, 4_096)
                yield RESIZED
            if sys.stdin.fileno() in ready:
                try:
                    typed = os.read(sys.stdin.fileno(), 4_096).decode(errors="ignore")
                except OSError:
                    typed = ""
                if not typed:
                    yield CLOSED
                    return
                yield from (_KEYS.get(token, token) for token in _TOKEN.findall(typed))


@contextlib.contextmanager
def screen() -> Iterator[Screen]:
    """Take the terminal, and give it back however it ends."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = termios.tcgetattr(sys.stdin.fileno())

    def changed(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):  # told so often already
            os.write(writing, b".")

    former = signal.signal(signal.SIGWINCH, changed)
    try:
        tty.setcbreak(sys.stdin.fileno())
        sys.stdout.write(_ENTER)
        yield Screen(reading)
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, former)
        os.close(reading)
        os.close(writing)
