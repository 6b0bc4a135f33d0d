"""What signals mean to a daemon: to stop, or to read its configuration anew."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable


def listen_to_signals(reload: Callable[[], None]) -> asyncio.Future[None]:
    """Return what is done once SIGTERM or SIGINT says to stop; SIGHUP calls ``reload``.

    Where the daemon has a terminal and that goes away, SIGHUP is the news of it, and means to stop as ever.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()
    had_terminal = _has_terminal()

    def end() -> None:
        if not stop.done():
            stop.set_result(None)

    loop.add_signal_handler(signal.SIGTERM, end)
    loop.add_signal_handler(signal.SIGINT, end)
    loop.add_signal_handler(signal.SIGHUP, lambda: end() if had_terminal and not _has_terminal() else reload())
    return stop


def _has_terminal() -> bool:
    """Whether there is a controlling terminal, tty(4)."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
