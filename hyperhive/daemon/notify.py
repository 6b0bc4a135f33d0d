"""Tells systemd how the daemon is: sd_notify(3), the protocol of ``Type=notify-reload`` and of the watchdog."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping

import attrs
import structlog

log = structlog.get_logger("daemon")

_ABSTRACT = "@"


@attrs.frozen(kw_only=True)
class Notifier:
    """The other end of $NOTIFY_SOCKET; without one, whatever is said is said to nobody."""

    address: str | None = None
    """A path, or ``@`` and a name in the abstract namespace (unix(7))."""
    watchdog_seconds: float | None = None
    """After so long without a word the daemon is taken for dead; None where nobody watches."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Notifier:
        """Read what systemd laid into the environment; a watchdog of another process is not ours."""
        address = environment.get("NOTIFY_SOCKET") or None
        if address is not None and not address.startswith(("/", _ABSTRACT)):
            log.warning("not_notifying", address=address, reason="only unix sockets are known")
            address = None
        usec = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watched = address is not None and ours and usec.isdecimal() and int(usec) > 0
        return cls(address=address, watchdog_seconds=int(usec) / 1_000_000 if watched else None)

    def ready(self) -> None:
        """Say that everything is open, or is again after a reload."""
        self._say("READY=1")

    def reloading(self) -> None:
        """Say that a reload has begun; `ready` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self._say("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._say("STOPPING=1")

    async def watch(self) -> None:
        """Say that the event loop turns, twice in the time after which it is taken for dead; without end."""
        while self.watchdog_seconds is not None:
            self._say("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_seconds / 2)

    def _say(self, *lines: str) -> None:
        if self.address is None:
            return
        address = "\0" + self.address[1:] if self.address.startswith(_ABSTRACT) else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as end:
                end.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            # The hive goes on: whether it is right that nobody hears is for whoever set the variable.
            log.warning("not_notified", said=lines[0], error=error.strerror)
