"""What the harness tells its host of itself: each fact once, in its order, and lost to no restart of the daemon."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from harness.failures import Kind, shorten
from harness.link import Link, Refused, command_id
from harness.log import log
from harness.loop import Loop

RETRY_SECONDS = 1.0


@attrs.frozen(kw_only=True)
class Outcome:
    """How a turn ended; cost and usage are this turn's alone."""

    ok: bool
    error_kind: Kind | None = None
    error: str | None = None
    cost_usd: float = 0.0
    usage: Mapping[str, int] | None = None
    session_id: str | None = None


class Reports:
    """Sends reports one by one. The beginning of a turn implies the status thinking, its end idle."""

    def __init__(self, link: Link, loop: Loop, generation: int | None = None) -> None:
        self._link = link
        self._life = {} if generation is None else {"generation": generation}
        self._loop = loop
        self._status: tuple[str, str | None] = ("idle", None)
        self._model: str | None = None
        self._needs_login = False
        self._failed_servers: tuple[str, ...] = ()

    def harness_started(self, run: str, version: str) -> None:
        """Say hello; ``run`` is the id of this life, and of its stream."""
        self._tell("harness_started", run=run, version=version)

    def turn_started(self, ids: Iterable[int], *, command: int | None = None) -> None:
        """Say that a turn on these messages begins, or one on a slash command."""
        self._tell("turn_started", ids=list(ids), **({} if command is None else {"command": command}))
        self._status = ("thinking", None)

    def turn_ended(self, outcome: Outcome, *, ack: Iterable[int]) -> None:
        """Say that a turn has ended, and that these messages are dealt with by it: one fact."""
        if outcome.error is not None:
            outcome = attrs.evolve(outcome, error=shorten(outcome.error))
        said = {name: value for name, value in attrs.asdict(outcome).items() if value is not None}
        self._tell("turn_ended", **said, ack=list(ack))
        self._status = ("idle", None)
        if outcome.ok:
            self._needs_login = False
        elif outcome.error_kind == "login" and not self._needs_login:
            self._needs_login = True
            self._tell("needs_login", detail=outcome.error or "")

    def status(self, status: str, text: str | None = None) -> None:
        """Say what the session does now."""
        if (status, text) != self._status:
            self._status = (status, text)
            self._tell("status", status=status, **({} if text is None else {"text": text}))

    def model(self, model: str) -> None:
        """Say which model answers."""
        if model != self._model:
            self._model = model
            self._tell("model_changed", model=model)

    def servers(self, failed: tuple[str, ...], errors: list[str]) -> None:
        """Say which tool servers do not work; that all do is only said after some did not."""
        if failed != self._failed_servers:
            self._failed_servers = failed
            self._tell("tool_servers_failed", servers=list(failed), errors=errors)

    def session_lost(self, *, expected: str, actual: str) -> None:
        """Say that a session could not be taken up again, and which is in its place."""
        log("session_lost", expected=expected, actual=actual)
        self._tell("session_lost", expected=expected, actual=actual)

    def _tell(self, kind: str, **fields: Any) -> None:
        request = {"cmd": "report", **self._life, "command_id": command_id(), "event": {"kind": kind, **fields}}
        while True:
            try:
                if self._link.request(request).get("dropped"):
                    log("report_too_late", kind=kind)
            except Refused as refused:
                log("report_refused", kind=kind, code=refused.code, error=refused)
                if refused.code == "unavailable" and not self._loop.stopping:
                    # No other work meanwhile: it could report what comes after this.
                    self._loop.sleep(RETRY_SECONDS)
                    continue
            return
