"""Wait until what was asked for is done, and say how it went.

Reads ``agent_status``: of a row ``running``, ``failed`` and, beyond version 1, ``pending`` (the transient, or null) and
``error`` (the reason, where ``failed``); of the reply, beyond version 1, ``transients``, the containers that
have no row yet: ``[{"name", "pending"?, "error"?}]``. A verb is answered after its intent is in the log, so the first
look already shows the transient or what came of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from hyperhive.cli import client
from hyperhive.cli.terminal import say

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5
_DONE = {
    "spawn": "runs",
    "start": "runs",
    "restart": "runs again",
    "rebuild": "runs, made anew",
    "move": "lives there now",
    "kill": "is stopped",
    "destroy": "is gone",
    "purge": "is wiped",
}
_NOTHING_LEFT = ("destroy", "purge")
"""Verbs after which there is no row, nor a container that could have written anything."""


class ActionFailed(Exception):  # noqa: N818 - reads as a sentence
    """The daemon tried and could not."""

    code = "failed"


@attrs.frozen
class Pending:
    """Not done yet; ``what`` is the transient."""

    what: str


@attrs.frozen
class Done:
    """As it was asked."""


@attrs.frozen
class Failed:
    """Not as it was asked."""

    reason: str


def outcome(verb: str, name: str, reply: Mapping[str, Any]) -> Pending | Done | Failed:
    """Read from one ``agent_status`` reply what has become of a verb."""
    row = _named(name, reply.get("agent_statuses", []))
    if row is None:
        return _without_row(verb, _named(name, reply.get("transients", [])))
    if row.get("pending"):
        return Pending(str(row["pending"]))
    # Without the flag, an error is that of a turn, not of the container.
    reason = row.get("error") if row.get("failed") else None
    if verb == "destroy":
        return Failed(reason or "it is still there")
    if verb == "kill":
        return Failed(reason or "it still runs") if row.get("running") else Done()
    if row.get("failed") or not row.get("running"):
        return Failed(reason or "it does not run")
    return Done()


def wait(verb: str, names: Sequence[str], seconds: float) -> None:
    """Look until every agent is done, tell each on stderr; raises `ActionFailed` at the end where one is not."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    told: dict[str, Pending | Done | Failed] = {}
    while True:
        reply = client.call("agent_status")
        for name in names:
            found = outcome(verb, name, reply)
            # What is done is done: somebody else may stop the agent again while we wait for the next one.
            if told.get(name) != found and not isinstance(told.get(name), Done | Failed):
                told[name] = found
                _tell(verb, name, found)
        waits = [name for name in names if isinstance(told[name], Pending)]
        if not waits or time.monotonic() >= deadline:
            break
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
    complaints = [_complaint(verb, name, found, seconds) for name, found in told.items() if not isinstance(found, Done)]
    if complaints:
        raise ActionFailed("\n".join(complaints))


def _tell(verb: str, name: str, found: Pending | Done | Failed) -> None:
    match found:
        case Pending(what):
            say(f"{name}: {what}…")
        case Done():
            say(f"{name} {_DONE[verb]}")
        case Failed():
            pass  # said once, at the end, with the exit code


def _complaint(verb: str, name: str, found: Pending | Failed, seconds: float) -> str:
    match found:
        case Pending(what):
            return f"{name} is still {what} after {seconds:g} s, and that goes on; look with: hyperhive ps"
        case Failed(reason):
            gone = verb in _NOTHING_LEFT
            return f"{verb} {name} failed: {reason}" + (
                "" if gone else f"\nwhat its container wrote: hyperhive logs {name}"
            )


def _without_row(verb: str, transient: Mapping[str, Any] | None) -> Pending | Done | Failed:
    if transient is not None and (transient.get("pending") or not transient.get("error")):
        return Pending(str(transient.get("pending") or "spawning"))
    if transient is None and verb in _NOTHING_LEFT:
        return Done()
    return Failed(str((transient or {}).get("error") or "it has no container"))


def _named(name: str, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return next((row for row in rows if row.get("name") == name), None)
