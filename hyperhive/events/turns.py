"""Facts that an agent's harness reports: turns, status, model, session, login.

Streams ``turn-<agent>``, apart from ``agent-<name>``, so that a report does not move the stream that lifecycle
decisions were looked up at.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import attrs
import msgspec

Status = Literal["idle", "thinking", "compacting", "waiting"]

Tokens = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
"""Bounded, since an untrusted harness reports it and SQLite keeps the sum in 64 bits."""
Dollars = Annotated[float, msgspec.Meta(ge=0, le=1_000_000_000)]
"""Bounded, so that the sum stays a number that JSON can carry."""


@attrs.frozen(kw_only=True)
class TurnFact:
    """A fact in the stream of one agent's turns."""

    agent: str

    @property
    def stream(self) -> str:
        """The agent's turns."""
        return f"turn-{self.agent}"


@attrs.frozen(kw_only=True)
class HarnessStarted(TurnFact):
    """A harness said hello; ``run`` is its own id for this life."""

    run: str
    version: str


@attrs.frozen(kw_only=True)
class TurnStarted(TurnFact):
    """A session began a turn on the messages of these ids."""

    ids: tuple[int, ...] = ()


@attrs.frozen(kw_only=True)
class TurnEnded(TurnFact):
    """A turn ended. ``cost_usd`` and the tokens are this turn's alone."""

    ok: bool
    cost_usd: Dollars = 0.0
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_read_tokens: Tokens = 0
    cache_creation_tokens: Tokens = 0
    session_id: str | None = None
    error: str | None = None
    error_kind: str | None = None
    """``login rate_limit api network claude_missing`` (the mail is kept and tried again) or ``crash turn stopped``."""


@attrs.frozen(kw_only=True)
class StatusChanged(TurnFact):
    """What the harness says its session does."""

    status: Status
    text: str | None = None


@attrs.frozen(kw_only=True)
class ModelChanged(TurnFact):
    """The session runs on this model now."""

    model: str


@attrs.frozen(kw_only=True)
class ModelChosen(TurnFact):
    """The operator wants the agent's turns on this model from the next one on; None: on the configured one again."""

    model: str | None


@attrs.frozen(kw_only=True)
class SessionLost(TurnFact):
    """A session could not be resumed: another began in its place."""

    expected: str
    actual: str


@attrs.frozen(kw_only=True)
class LoginNeeded(TurnFact):
    """The session has no login that the model's API accepts."""

    detail: str = ""


@attrs.frozen(kw_only=True)
class ToolServersFailed(TurnFact):
    """These of the configured tool servers do not work; none of them: all work again."""

    servers: tuple[str, ...]
    errors: tuple[str, ...] = ()
    """Why, in the same order, as far as it is known."""


@attrs.frozen(kw_only=True)
class BudgetExhausted(TurnFact):
    """The day's turns have cost what its configuration allows; its mail waits for the next day (UTC)."""

    usd_per_day: Dollars
    spent_usd: Dollars


@attrs.frozen(kw_only=True)
class TurnInterruptRequested(TurnFact):
    """The operator wants the running turn to end now."""


@attrs.frozen(kw_only=True)
class SlashCommandGiven(TurnFact):
    """The operator said this to `claude` itself, such as ``/compact``; it waits for the session to be free."""

    text: str


@attrs.frozen(kw_only=True)
class SlashCommandTaken(TurnFact):
    """The session takes up the command of this id; should it be cut off, the command is not given again."""

    id: int


@attrs.frozen(kw_only=True)
class HarnessReported(TurnFact):
    """A report of a kind that this release does not know: kept and shown."""

    kind: str
    detail: dict[str, Any] = attrs.field(factory=dict)
