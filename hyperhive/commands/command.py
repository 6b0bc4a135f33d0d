"""What every command carries: who gives it, when, under which id, because of what."""

from __future__ import annotations

import attrs

from hyperhive.events.envelope import Actor, Cause


@attrs.frozen(kw_only=True)
class Command:
    """A wish. Subclasses say what for; `decide` says whether and what follows."""

    actor: Actor
    """Known from the socket or the session that it arrived on."""
    at: int = 0
    """Microseconds since 1970; the dispatcher stamps a command that comes without."""
    id: str | None = None
    """Given again with the same payload it gets the first answer again, and nothing happens twice."""
    cause: Cause | None = None
    """The fact that led to it; without one, an agent's running turn is the cause of what the agent does."""
