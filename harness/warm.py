"""The one session: started when a turn needs it, kept while it fits what the host wants, released when it idles."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import attrs

from harness import processes
from harness.child import Child, Message
from harness.log import log
from harness.prompts import system_prompt
from harness.settings import Place, SessionSpec

START_FAILURES = 3
"""After so many starts in a row that failed, a session is begun anew: what it would resume may be what breaks it."""


@attrs.define(kw_only=True)
class Warm:
    """A session whose process runs."""

    child: Child
    start: dict[str, Any] = attrs.field(repr=False)
    resumed: str | None
    session_id: str | None = None
    ready: bool = False
    given: tuple[int, ...] = ()
    """Mail that stands in the conversation already, from a turn that its environment cut off."""


class Sessions:
    """Holds the session, where there is one."""

    def __init__(
        self, place: Place, *, on_message: Callable[[Child, Message], None], on_gone: Callable[[Child, int], None]
    ) -> None:
        self._place = place
        self._on_message = on_message
        self._on_gone = on_gone
        self._idle_seconds = 0.0
        self._used_at = 0.0
        self._start_failures = 0
        self.warm: Warm | None = None

    def ready(self, spec: SessionSpec) -> Warm:
        """Return a session that fits; raises `OSError` where no process can be started."""
        self._idle_seconds = spec.idle_seconds
        start = _start(spec, self._place)
        if self.warm is not None and not self._fits(self.warm, spec, start):
            self.release("changed")
        if self.warm is None:
            resume = None if self._start_failures >= START_FAILURES else spec.session_id
            child = Child(self._place.state, on_message=self._on_message, on_gone=self._on_gone)
            log("session_starts", pid=child.pid, resume=resume)
            child.say({"do": "start", "resume": resume, "model": spec.model, **start})
            self.warm = Warm(child=child, start=start, resumed=spec.session_id)
        return self.warm

    def idle_seconds_left(self) -> float | None:
        """Return when to release the session; None where there is none."""
        if self.warm is None:
            return None
        return max(0.0, self._used_at + self._idle_seconds - time.monotonic())

    def used(self) -> None:
        """Begin to count the idle time anew."""
        self._used_at = time.monotonic()

    def came_up(self, warm: Warm) -> None:
        """Note that a session's process is ready for turns."""
        warm.ready = True
        self._start_failures = 0

    def did_not_come_up(self) -> None:
        """Count a start that failed."""
        self._start_failures += 1

    def release(self, why: str, *, grace_seconds: float = 3.0) -> None:
        """End the session in peace."""
        warm, self.warm = self.warm, None
        if warm is not None:
            log("session_released", pid=warm.child.pid, why=why)
            warm.child.release(grace_seconds)
            processes.reap_orphans()
            processes.give_back_memory()

    def discard(self) -> None:
        """End a session that is of no use any more, with all that it started."""
        if self.warm is not None:
            self.warm.child.kill()
            self.clean_up()

    def clean_up(self) -> None:
        """Forget a session whose process has ended, and end what it left behind."""
        self.warm = None
        processes.kill_descendants(os.getpid())
        processes.reap_orphans()

    def _fits(self, warm: Warm, spec: SessionSpec, start: dict[str, Any]) -> bool:
        current = warm.session_id or warm.resumed
        return warm.child.alive and warm.start == start and spec.session_id in (None, current)


def _start(spec: SessionSpec, place: Place) -> dict[str, Any]:
    """Return what a session is started with, beside the model, which may change under way, and the resumed id."""
    return {
        "env": dict(spec.env),
        "permission_mode": spec.permission_mode,
        "allowed_tools": list(spec.allowed_tools),
        "claude_path": spec.claude_path,
        "system_prompt": system_prompt(spec.agent, spec.role, place.state, spec.prompt),
        "tools": list(spec.tools),
        "mcp_servers": {name: dict(server) for name, server in spec.mcp_servers.items()},
    }
