"""Facts about the people who may look at the hive. Streams ``operator-<name>``."""

from __future__ import annotations

from typing import Literal

import attrs

PersonRole = Literal["operator", "viewer"]


@attrs.frozen(kw_only=True)
class OperatorFact:
    """A fact about one person; whoever has the token of the data directory is no person, and needs none."""

    operator: str

    @property
    def stream(self) -> str:
        """The person's stream."""
        return f"operator-{self.operator}"


@attrs.frozen(kw_only=True)
class OperatorAdded(OperatorFact):
    """Somebody was given a key. The log has its hash alone, from which it cannot be had again."""

    role: PersonRole
    key_hash: str
    """SHA-256, in hexadecimal."""


@attrs.frozen(kw_only=True)
class OperatorRemoved(OperatorFact):
    """The person's key opens nothing any more."""
