"""What a redacted export leaves out: every text of a fact, but for those that are listed here.

Numbers, times, booleans and the number of things in a list stay, and so does the envelope. A field that a later release
adds is left out until somebody lists it.
"""

from __future__ import annotations

from typing import Any

import msgspec

REDACTED = "[redacted]"

NAMES = frozenset({"agent", "agents", "to", "sender", "asker", "requester", "operator"})
"""Of agents and people: kept in every fact, since nothing could be followed without them."""

KEPT: dict[str, frozenset[str]] = {
    "HiveCreated": frozenset({"hive"}),
    "HiveRestored": frozenset({"epoch", "head"}),
    "DaemonStarted": frozenset({"release", "runtime"}),
    "HarnessStarted": frozenset({"run", "version"}),
    "TurnEnded": frozenset({"session_id", "error_kind"}),
    "StatusChanged": frozenset({"status"}),
    "ModelChanged": frozenset({"model"}),
    "ModelChosen": frozenset({"model"}),
    "SessionLost": frozenset({"expected", "actual"}),
    "HarnessReported": frozenset({"kind"}),
    "ToolServersFailed": frozenset({"servers"}),
    "ApprovalRequested": frozenset({"kind", "commit", "base"}),
    "ApprovalGranted": frozenset({"kind", "commit", "base"}),
    "ApprovalDenied": frozenset({"kind"}),
    "ApprovalSuperseded": frozenset({"kind"}),
    "ApprovalFailed": frozenset({"kind"}),
    "ConfigurationApplied": frozenset({"commit", "base"}),
    "ConfigurationReverted": frozenset({"commit", "failed"}),
    "OperatorAdded": frozenset({"role"}),
    "AgentMoved": frozenset({"runtime"}),
}
"""By type: what else stays. So bodies, questions, options, answers, errors, reasons, what a status says, and the
details of a login or an unknown report go."""


def redact(type_name: str, data: bytes) -> bytes:
    """Return a fact's data without what people and agents said in it, in the same shape."""
    kept = NAMES | KEPT.get(type_name, frozenset())
    fields = msgspec.json.decode(data, type=dict[str, Any])
    return msgspec.json.encode({key: value if key in kept else _without_texts(value) for key, value in fields.items()})


def _without_texts(value: Any) -> Any:
    match value:
        case str():
            return REDACTED
        case list():
            return [_without_texts(each) for each in value]
        case dict():
            return {}  # its keys may tell as much as its values
        case _:
            return value
