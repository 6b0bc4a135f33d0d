"""What the host wants at once, whatever a turn is doing: one request is always open for it."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any, Literal

import attrs

from harness import wire
from harness.link import Call, Closed, Link, Refused
from harness.log import log
from harness.loop import Loop

Interrupt = Literal["cancel", "freeze"]

RETRY_SECONDS = 5.0
"""After a host that could not answer."""


@attrs.frozen(kw_only=True)
class Command:
    """A slash command of the operator's."""

    id: int
    text: str


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
        self.commands: list[Command] = []
        """What the operator wants to be said to `claude` itself, oldest first; whoever says it calls `take`."""
        self._taken = 0

    def open(self) -> None:
        """Ask how things stand, and go on asking."""
        request: dict[str, Any] = {"cmd": "control", "wait_seconds": wire.WAIT_MAX_SECONDS}
        if self._seen is not None:
            request["seen"] = self._seen
        self._link.start(request, on_done=lambda call: self._loop.post(partial(self._answered, call)))

    def take(self) -> Command:
        """Take the oldest command; the host may name it again until it has heard of it."""
        command = self.commands.pop(0)
        self._taken = command.id
        return command

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
        waiting = (Command(id=each["id"], text=each["text"]) for each in reply.get("commands", ()))
        self.commands = [command for command in waiting if command.id > self._taken]
        self.open()
