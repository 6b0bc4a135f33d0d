"""Notices that a client is gone which has ended its own side before: nothing is read from it any more."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable


class Hangup:
    """Calls ``on_hangup`` when the other end of a unix socket is closed, both sides of it."""

    def __init__(self, descriptor: int, on_hangup: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._epoll.register(descriptor, 0)  # EPOLLHUP is always reported, epoll_ctl(2)
        self._loop.add_reader(self._epoll.fileno(), on_hangup)

    def has_come(self) -> bool:
        """Whether the other end is closed already."""
        return bool(self._epoll.poll(0))

    def close(self) -> None:
        """Watch no longer."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
