"""What the host wants at once, whatever a turn is doing: one request is always open for it."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any, Literal

from harness import wire
from harness.link import Call, Closed, Link, Refused
from harness.log import log
from harness.loop import Loop

Interrupt = Literal["cancel", "freeze"]

RETRY_SECONDS = 5.0
"""After a host that could not answer."""


class Control:
    """Whether turns are held, and whether the running one has to end. All of it runs in the main thread."""

    def __init__(self, link: Link, loop: Loop) -> None:
        self._link = link
        self._loop = loop
        self._seen: int | None = None
        self.hold = False
        """Whether no turn may begin."""
        self.interrupt: Interrupt | None = None
        """Why the running turn has to end; whoever ends it takes it back."""

    def open(self) -> None:
        """Ask how things stand, and go on asking."""
        request: dict[str, Any] = {"cmd": "control", "wait_seconds": wire.WAIT_MAX_SECONDS}
        if self._seen is not None:
            request["seen"] = self._seen
        self._link.start(request, on_done=lambda call: self._loop.post(partial(self._answered, call)))

    def _answered(self, call: Call) -> None:
        try:
            reply = call.result()
        except Closed:
            return
        except Refused as refused:
            log("control_refused", code=refused.code, error=refused)
            again = threading.Timer(RETRY_SECONDS, self._loop.post, [self.open])
            again.daemon = True
            again.start()
            return
        self._seen = reply["seen"]
        self.hold = reply["hold"]
        self.interrupt = reply["interrupt"] or self.interrupt
        self.open()
