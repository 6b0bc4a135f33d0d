"""The main thread's work: what other threads hand to it, one piece at a time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

Work = Callable[[], None]


class Loop:
    """A queue of work, and the wish to stop. Whatever runs here needs no lock."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._stopping = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def post(self, work: Work) -> None:
        """Hand work to the main thread, from any."""
        self._work.put(work)

    def stop(self) -> None:
        """End every `until` that waits, and those to come."""
        self._stopping.set()
        self.post(_nothing)

    def until(self, done: Callable[[], bool], *, seconds: float | None = None, even_stopping: bool = False) -> bool:
        """Do work until ``done``; return False where time is up or the harness is to stop."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not done():
            if self.stopping and not even_stopping:
                return False
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            try:
                self._work.get(timeout=left)()
            except queue.Empty:
                return False
        return True

    def sleep(self, seconds: float) -> None:
        """Do nothing for a while, or until the harness is to stop."""
        self._stopping.wait(seconds)

    def pause(self, seconds: float) -> None:
        """Do work for a while, or until the harness is to stop."""
        self.until(lambda: False, seconds=seconds)


def _nothing() -> None:
    """Wake a waiting `until`."""
