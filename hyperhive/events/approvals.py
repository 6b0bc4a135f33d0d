"""Facts about what the operator decides. Streams ``approval-<id>``; ids count from 1."""

from __future__ import annotations

import enum

import attrs


class Kind(enum.StrEnum):
    """What is asked for."""

    SPAWN = "spawn"
    """A container for a new name, or for a destroyed one."""
    APPLY_COMMIT = "apply_commit"
    """A commit of the agent's proposed repository is to be its configuration."""
    ROLLBACK = "rollback"
    """The operator's own: a commit that was applied before."""


@attrs.frozen(kw_only=True)
class ApprovalFact:
    """A fact in the stream of one approval.

    Each says what it is about and who asked, because its ending is a message to the requester, folded from the ending
    alone.
    """

    id: int
    kind: Kind
    agent: str
    requester: str

    @property
    def stream(self) -> str:
        """The approval's stream."""
        return f"approval-{self.id}"


@attrs.frozen(kw_only=True)
class ApprovalRequested(ApprovalFact):
    """Somebody asks the operator for something; nothing has been done yet."""

    note: str
    """The requester's reason."""
    commit: str | None = None
    """The configuration that is asked for, fetched into the host's own keeping; None where a spawn asks for none."""
    base: str | None = None
    """What was applied when it was asked; None where nothing was."""
    blocked: str | None = None
    """Why it cannot be approved, where it cannot be shown whole."""


@attrs.frozen(kw_only=True)
class ApprovalGranted(ApprovalFact):
    """The operator approved exactly this commit, having seen what it changes in exactly this base."""

    commit: str | None = None
    base: str | None = None
    note: str = ""


@attrs.frozen(kw_only=True)
class ApprovalDenied(ApprovalFact):
    """The operator said no."""

    note: str = ""


@attrs.frozen(kw_only=True)
class ApprovalSuperseded(ApprovalFact):
    """A newer request for the same agent took its place."""

    by: int


@attrs.frozen(kw_only=True)
class ApprovalFailed(ApprovalFact):
    """It was approved and could not be done."""

    error: str
