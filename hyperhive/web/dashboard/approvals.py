"""What waits for a decision, as the page shows it."""

from __future__ import annotations

import attrs

from hyperhive.events.envelope import rfc3339
from hyperhive.projections.approvals import Approval, Status, Work
from hyperhive.projections.sentences import person
from hyperhive.proposals.proposals import Review
from hyperhive.web.dashboard.diffs import File, file_of

SHORT = 7
"""Of a commit's name: what people compare."""


@attrs.frozen(kw_only=True)
class Asked:
    """One approval that waits."""

    id: int
    kind: str
    """``spawn``, ``apply-commit`` or ``rollback``."""
    agent: str
    requester: str
    requested_at: str
    note: str
    commit: str
    base: str
    """Both as they were shown, and as the decision has to state them; empty where there is none."""
    loading: bool
    """Whether what it would change is still looked at."""
    blocked: str
    """Why it cannot be approved."""
    files: tuple[File, ...]

    @property
    def shown(self) -> str:
        """What somebody who looks at it decides about."""
        return f"{self.commit}:{self.base}"


def asked(row: Approval, review: Review | str | None) -> Asked:
    """Show an approval with its review: none while it is looked at, a sentence where it cannot be had."""
    found = review if isinstance(review, Review) else None
    return Asked(
        id=row.id,
        kind=row.kind.value.replace("_", "-"),
        agent=row.agent,
        requester=person(row.requester).text,
        requested_at=rfc3339(row.requested_at),
        note=row.note,
        commit=row.commit or "",
        base=(found.base if found else row.base) or "",
        loading=review is None,
        blocked=(review if isinstance(review, str) else found.blocked if found else row.blocked) or "",
        files=tuple(file_of(attrs.asdict(each)) for each in found.diff.files) if found else (),
    )


@attrs.frozen(kw_only=True)
class Decided:
    """One that was decided, and what is done about it."""

    id: int
    kind: str
    agent: str
    resolved_at: str
    how: str
    good: bool
    under_way: str
    """What is being done; empty where nothing is."""


_DONE = {Status.APPROVED: "approved", Status.DENIED: "denied", Status.CANCELLED: "superseded", Status.FAILED: "failed"}


def decided(row: Approval, pending: str | None) -> Decided:
    """Show a decided approval; ``pending`` is what its agent is doing."""
    how = _DONE.get(row.status, row.status.value)
    if row.status is Status.CANCELLED and row.superseded_by is not None:
        how = f"superseded by #{row.superseded_by}"
    elif row.status is Status.FAILED:
        how = f"failed: {row.error}"
    elif row.resolved_by:
        how = f"{how} by {person(row.resolved_by).text}"
    busy = {Work.APPLY: "applying", Work.BUILD: pending or "building"}
    return Decided(
        id=row.id,
        kind=row.kind.value.replace("_", "-"),
        agent=row.agent,
        resolved_at=rfc3339(row.resolved_at or row.requested_at),
        how=how,
        good=row.status is Status.APPROVED,
        under_way=busy.get(row.work, ""),
    )
