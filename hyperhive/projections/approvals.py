"""View ``approvals``: what was asked of the operator, how it was decided, and what came of it."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

from hyperhive.events import agents, configurations
from hyperhive.events import approvals as facts
from hyperhive.events.approvals import Kind
from hyperhive.events.envelope import Recorded
from hyperhive.projections.projection import Change, Fold, FrozenRow, Projection, Rows, evolve


class Status(enum.StrEnum):
    """How an approval stands, as people are told."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """A newer request took its place."""


class Work(enum.StrEnum):
    """What is still to be done about it."""

    DECIDE = "decide"
    APPLY = "apply"
    """Approved; the applier has not begun, or not ended."""
    BUILD = "build"
    """Applied; the container is being made from it."""
    NOTHING = "nothing"


class Approval(FrozenRow, frozen=True, kw_only=True):
    """One approval; ``note`` is the requester's, ``operator_note`` the operator's."""

    id: int
    kind: Kind
    agent: str
    requester: str
    note: str = ""
    commit: str | None = None
    base: str | None = None
    """What was applied when it was asked; once it is approved, what was applied then."""
    blocked: str | None = None
    status: Status = Status.PENDING
    work: Work = Work.DECIDE
    requested_at: int
    resolved_at: int | None = None
    resolved_by: str | None = None
    operator_note: str = ""
    superseded_by: int | None = None
    error: str | None = None
    position: int
    """Of the newest fact about it: what is done about it is caused by that."""
    correlation: int


def is_open(row: Approval) -> bool:
    """Whether anything is still to be decided or done about it."""
    return row.work is not Work.NOTHING


def about(row: Approval) -> dict[str, Any]:
    """Return what every fact about an approval says."""
    return {"id": row.id, "kind": row.kind, "agent": row.agent, "requester": row.requester}


def _requested(_rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event: facts.ApprovalRequested = recorded.event
    row = Approval(
        id=event.id,
        kind=event.kind,
        agent=event.agent,
        requester=event.requester,
        note=event.note,
        commit=event.commit,
        base=event.base,
        blocked=event.blocked,
        requested_at=recorded.at,
        position=recorded.position,
        correlation=recorded.correlation,
    )
    return ((event.id, row),)


def _resolved(status: Status) -> Fold:
    def fold(rows: Rows, recorded: Recorded) -> Iterable[Change]:
        event = recorded.event
        row: Approval = rows[event.id]
        changed = evolve(
            row,
            status=status,
            work=Work.NOTHING,
            resolved_at=recorded.at,
            resolved_by=recorded.actor,
            operator_note=getattr(event, "note", ""),
            superseded_by=getattr(event, "by", None),
            position=recorded.position,
        )
        return ((event.id, changed),)

    return fold


def _granted(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    """Go on with applying; where the commit is applied already, or none was asked for, with the container."""
    event: facts.ApprovalGranted = recorded.event
    row: Approval = rows[event.id]
    work = Work.APPLY if event.commit not in (None, event.base) else Work.BUILD
    changed = evolve(
        row,
        status=Status.APPROVED,
        work=work,
        resolved_at=recorded.at,
        resolved_by=recorded.actor,
        operator_note=event.note,
        base=event.base,
        position=recorded.position,
    )
    return ((row.id, changed),)


def _failed(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event: facts.ApprovalFailed = recorded.event
    changed = evolve(rows[event.id], status=Status.FAILED, work=Work.NOTHING, error=event.error)
    return ((event.id, changed),)


def _applied(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    event: configurations.ConfigurationApplied = recorded.event
    row: Approval | None = rows.get(event.approval)
    if row is None:
        return ()
    return ((row.id, evolve(row, work=Work.BUILD if event.builds else Work.NOTHING, position=recorded.position)),)


def _built(rows: Rows, recorded: Recorded) -> Iterable[Change]:
    built = being_built(rows, recorded.event.agent)
    return ((built.id, evolve(built, work=Work.NOTHING)),) if built is not None else ()


def being_built(rows: Rows, agent: str) -> Approval | None:
    """Return the approval that an agent's container is being made for; None where there is none."""
    return next((row for row in rows.values() if row.agent == agent and row.work is Work.BUILD), None)


APPROVALS = Projection(
    name="approvals",
    row=Approval,
    key=("id",),
    is_open=is_open,
    folds={
        facts.ApprovalRequested: _requested,
        facts.ApprovalGranted: _granted,
        facts.ApprovalDenied: _resolved(Status.DENIED),
        facts.ApprovalSuperseded: _resolved(Status.CANCELLED),
        facts.ApprovalFailed: _failed,
        configurations.ConfigurationApplied: _applied,
        agents.SpawnSucceeded: _built,
        agents.RebuildSucceeded: _built,
    },
)
