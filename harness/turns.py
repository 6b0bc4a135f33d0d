"""The turn loop: mail in, one turn of the session for each batch, and the acknowledgement with the turn's end."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from harness import envelope, failures, processes, wire
from harness.backoff import Backoff
from harness.child import Child
from harness.failures import Kind
from harness.link import Call, Closed, Link, Refused, command_id
from harness.log import log
from harness.prompts import system_prompt
from harness.reports import Reports
from harness.settings import Place, SessionSpec, SettingsError
from harness.spool import Spool

INTERRUPT_SECONDS = 1.5
"""What a running turn has to end when the harness is told to stop."""
START_FAILURES = 3
"""After so many starts in a row that failed, a session is not resumed but begun anew: its transcript may be broken."""


@attrs.frozen(kw_only=True)
class Outcome:
    """How a turn ended."""

    ok: bool
    error_kind: Kind | None = None
    error: str | None = None
    cost_usd: float = 0.0
    usage: Mapping[str, int] | None = None
    session_id: str | None = None


class Turns:
    """One harness's life. All of its state belongs to the main thread: other threads hand it work by `_inbox`."""

    def __init__(self, place: Place, link: Link, spool: Spool) -> None:
        self._place = place
        self._link = link
        self._spool = spool
        self._reports = Reports(link)
        self._backoff = Backoff(place.backoff_seconds)
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._held: dict[int, wire.Mail] = {}
        self._session: Warm | None = None
        self._outcome: Outcome | None = None
        self._tool_calls: dict[int, Call] = {}
