"""Facts as diagnostics."""

from __future__ import annotations

import structlog

from hyperhive.daemon.narrate import narrate
from hyperhive.events.agents import SpawnRequested
from hyperhive.events.envelope import OPERATOR, Recorded
from hyperhive.events.messages import MessageSent


def test_who_where_and_in_which_chain_but_never_a_body() -> None:
    """A line has the fact's envelope and nothing of what was said; mail is for those who debug."""
    spawn = Recorded(7, "agent-coder", 1, "SpawnRequested", 0, str(OPERATOR), 7, None, SpawnRequested(agent="coder"))
    sent = MessageSent(to="coder", sender="operator", body="a secret plan")
    mail = Recorded(8, "inbox-coder", 1, "MessageSent", 0, str(OPERATOR), 7, 7, sent)
    with structlog.testing.capture_logs() as lines:
        narrate([spawn, mail])
    envelope = {"actor": "operator", "correlation": 7}
    assert lines == [
        {"event": "SpawnRequested", "log_level": "info", "position": 7, "stream": "agent-coder", **envelope},
        {"event": "MessageSent", "log_level": "debug", "position": 8, "stream": "inbox-coder", **envelope},
    ]
