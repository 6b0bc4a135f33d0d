"""What a harness reports, as commands. A kind that is not known here is kept as it came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import msgspec

from hyperhive.commands.errors import Invalid, TooLarge
from hyperhive.commands.reports import Report, ReportFact, ReportTurnEnded, ReportTurnStarted
from hyperhive.events import turns
from hyperhive.events.envelope import Actor
from hyperhive.sockets.requests import Ids, Number, read

MAX_REPORT_BYTES = 16_384
"""A report as JSON: it goes into the log for ever. A turn's content belongs into the stream."""
MAX_KIND_CHARACTERS = 60


@attrs.frozen(kw_only=True)
class _TurnStarted:
    ids: Ids = ()
    command: Number | None = None


@attrs.frozen(kw_only=True)
class _Usage:
    input_tokens: turns.Tokens = 0
    output_tokens: turns.Tokens = 0
    cache_read_input_tokens: turns.Tokens = 0
    cache_creation_input_tokens: turns.Tokens = 0


@attrs.frozen(kw_only=True)
class _TurnEnded:
    ok: bool
    cost_usd: turns.Dollars = 0.0
    usage: _Usage | None = None
    session_id: str | None = None
    error: str | None = None
    error_kind: str | None = None
    ack: Ids = ()


@attrs.frozen(kw_only=True)
class _Status:
    status: turns.Status
    text: str | None = None


@attrs.frozen(kw_only=True)
class _ModelChanged:
    model: str


@attrs.frozen(kw_only=True)
class _SessionLost:
    expected: str
    actual: str


@attrs.frozen(kw_only=True)
class _NeedsLogin:
    detail: str = ""


@attrs.frozen(kw_only=True)
class _ToolServersFailed:
    servers: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class _HarnessStarted:
    run: str
    version: str = ""


def _turn_started(common: dict[str, Any], event: dict[str, Any]) -> Report:
    said = read(event, _TurnStarted, _named(event))
    return ReportTurnStarted(**common, ids=said.ids, command=said.command)


def _turn_ended(common: dict[str, Any], event: dict[str, Any]) -> Report:
    said = read(event, _TurnEnded, _named(event))
    usage = said.usage or _Usage()
    ended = turns.TurnEnded(
        agent=common["agent"],
        ok=said.ok,
        cost_usd=said.cost_usd,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_input_tokens,
        cache_creation_tokens=usage.cache_creation_input_tokens,
        session_id=said.session_id,
        error=said.error,
        error_kind=said.error_kind,
    )
    return ReportTurnEnded(**common, ended=ended, ack=said.ack)


def _named(event: dict[str, Any]) -> str:
    return f"report {event['kind']!r}"


def _as(shape: type, fact: type) -> Callable[[dict[str, Any], dict[str, Any]], Report]:
    """Return a reader for a report whose fields are its fact's fields."""

    def report(common: dict[str, Any], event: dict[str, Any]) -> Report:
        said = attrs.asdict(read(event, shape, _named(event)))
        return ReportFact(**common, fact=fact(agent=common["agent"], **said))

    return report


_KINDS: dict[str, Callable[[dict[str, Any], dict[str, Any]], Report]] = {
    "turn_started": _turn_started,
    "turn_ended": _turn_ended,
    "status": _as(_Status, turns.StatusChanged),
    "model_changed": _as(_ModelChanged, turns.ModelChanged),
    "session_lost": _as(_SessionLost, turns.SessionLost),
    "needs_login": _as(_NeedsLogin, turns.LoginNeeded),
    "tool_servers_failed": _as(_ToolServersFailed, turns.ToolServersFailed),
    "harness_started": _as(_HarnessStarted, turns.HarnessStarted),
}


def report_of(
    event: dict[str, Any], *, actor: Actor, agent: str, command_id: str | None, generation: int | None = None
) -> Report:
    """Read a report; raise `Invalid` or `TooLarge`. ``generation`` is of the container that it comes from."""
    size = len(msgspec.json.encode(event))
    if size > MAX_REPORT_BYTES:
        raise TooLarge(f"a report of {size} bytes; at most {MAX_REPORT_BYTES} are allowed (the stream takes more)")
    kind = event.get("kind")
    if not isinstance(kind, str) or not 1 <= len(kind) <= MAX_KIND_CHARACTERS:
        raise Invalid(f'a report has a kind of 1 to {MAX_KIND_CHARACTERS} characters, such as "turn_started"')
    common: dict[str, Any] = {"actor": actor, "agent": agent, "id": command_id, "generation": generation}
    if kind in _KINDS:
        return _KINDS[kind](common, event)
    detail = {key: value for key, value in event.items() if key != "kind"}
    return ReportFact(**common, fact=turns.HarnessReported(agent=agent, kind=kind, detail=detail))
