"""Facts about the way out: what was kept from the network. Streams ``egress-<agent>``."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class EgressBlocked:
    """An agent asked for a host that it may not reach.

    Not every attempt is a fact: an agent that hammers makes one for each host and ten minutes, and of no more than a
    few hosts.
    """

    agent: str
    host: str
    port: int
    count: int = 1
    """Attempts at this host and port since the last fact about it."""
    others: int = 0
    """Attempts at hosts that have no fact of their own, since the agent's last one."""

    @property
    def stream(self) -> str:
        """The agent's own."""
        return f"egress-{self.agent}"
