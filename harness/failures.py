"""Why a turn failed: its environment, and the mail is tried again; or the turn itself, and the host counts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal[
    "login", "rate_limit", "api", "network", "claude_missing", "start",  # the environment
    "crash", "turn",  # the turn
    "stopped",  # the harness was told to stop
    "cancelled", "frozen",  # the operator ended the turn; the operator froze the hive
    "overtime",  # it took longer than the agent's configuration allows
]  # fmt: skip
"""``start``: the session's process did not come up, for another reason than a missing ``claude``."""

ENVIRONMENT: frozenset[Kind] = frozenset({"login", "rate_limit", "api", "network", "claude_missing", "start", "frozen"})

PROCESS: frozenset[Kind] = frozenset({"claude_missing", "start", "crash"})
"""After these, the session's process is no longer of use."""

TEXT_CHARACTERS = 2_000
"""Of an error's text in a report, which goes into the log for ever."""

# The literals are what `claude` calls an API error in the assistant message that stands for it.
_BY_NAME: dict[str, Kind] = {
    "authentication_failed": "login",
    "oauth_org_not_allowed": "login",
    "account_on_hold": "login",
    "verification_required": "login",
    "cloud_credential_error": "login",
    "rate_limit": "rate_limit",
    "billing_error": "api",
    "model_not_found": "api",
    "overloaded": "api",
}
_BY_STATUS: dict[int, Kind] = {401: "login", 403: "login", 429: "rate_limit", 402: "api", 404: "api", 408: "api"}


def of_result(result: Mapping[str, Any], api_error: str | None) -> Kind | None:
    """Return why this ``result`` message is a failure, or None where it is none.

    ``subtype`` says "success" for an API error too, so ``is_error`` decides. ``api_error`` is the name that the turn's
    last assistant message gave to an error. A failed request without any HTTP status never reached a server.
    """
    if not result.get("is_error"):
        return None
    status = result.get("api_error_status")
    if api_error in _BY_NAME:
        return _BY_NAME[api_error]
    if isinstance(status, int):
        return "api" if status >= 500 else _BY_STATUS.get(status, "turn")
    match result.get("terminal_reason"):
        case "api_error" if api_error != "invalid_request":
            return "network"
        case "aborted_streaming" | "aborted_tools":
            return "stopped"
        case _:
            return "turn"


def text_of(result: Mapping[str, Any]) -> str:
    """Return the most telling text of a failed ``result`` message."""
    errors = result.get("errors")
    if isinstance(errors, list) and errors:
        return shorten("; ".join(map(str, errors)))
    return shorten(str(result.get("result") or result.get("subtype") or "no reason given"))


def shorten(text: str, characters: int = TEXT_CHARACTERS) -> str:
    """Keep a text's beginning, and say that it was longer."""
    return text if len(text) <= characters else f"{text[:characters]}… ({len(text)} characters)"
