"""The verbs of host.sock that are about approvals and configurations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from hyperhive.commands.approvals import Approve, Deny
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Invalid
from hyperhive.events.envelope import OPERATOR
from hyperhive.projections import views
from hyperhive.projections.approvals import Status
from hyperhive.projections.history import History
from hyperhive.proposals.proposals import Proposals
from hyperhive.proposals.shown import diff_shown, review_shown
from hyperhive.sockets.fitting import fitting
from hyperhive.sockets.lines import Connection, Request
from hyperhive.sockets.requests import Number, read

Found = dict[str, Any]
Verb = Callable[[Connection, Request], Awaitable[Found]]
"""Answers one request with what was asked for; the envelope of version 1 is put around it."""

MAX_LISTED = 1_000


@attrs.frozen(kw_only=True)
class _Listed:
    all: bool = False
    limit: int = 50


@attrs.frozen(kw_only=True)
class _Approve:
    id: Number
    note: str = ""
    seen: bool = False
    commit: str | None = None
    base: str | None = None


@attrs.frozen(kw_only=True)
class _Deny:
    id: Number
    note: str = ""


@attrs.frozen(kw_only=True)
class _Spawn:
    name: str
    reason: str = ""
    config: str | None = None


@attrs.frozen(kw_only=True)
class _Config:
    name: str
    limit: int = 50
    old: str | None = None
    new: str | None = None
    commit: str | None = None
    note: str = ""


@attrs.frozen(kw_only=True)
class ApprovalVerbs:
    """What the operator may ask about approvals and configurations."""

    dispatcher: Dispatcher
    history: History
    proposals: Proposals

    def verbs(self) -> dict[str, Verb]:
        """Return them by name."""
        return {
            "pending": self._pending,
            "approve": self._approve,
            "deny": self._deny,
            "approvals": self._approvals,
            "review": self._review,
            "request_spawn": self._request_spawn,
            "config_log": self._log,
            "config_diff": self._diff,
            "config_show": self._show,
            "config_rollback": self._roll_back,
        }

    async def _pending(self, _connection: Connection, _request: Request) -> Found:
        rows = [row for row in self.dispatcher.hive.approvals.values() if row.status is Status.PENDING]
        return {"approvals": [views.approval_row(row) for row in rows]}

    async def _approvals(self, _connection: Connection, request: Request) -> Found:
        said = read(request, _Listed)
        _check_limit(said.limit)
        rows = self.history.approvals(said.limit) if said.all else list(self.dispatcher.hive.approvals.values())
        newest = sorted(rows, key=lambda row: row.id, reverse=True)
        found = fitting("approvals", map(views.approval_row, newest))
        return {**found, "approvals": found["approvals"][::-1]}

    async def _approve(self, _connection: Connection, request: Request) -> Found:
        said = read(request, _Approve)
        await self.proposals.approve(
            Approve(
                actor=OPERATOR, approval=said.id, note=said.note, seen=said.seen, commit=said.commit, base=said.base
            ),
        )
        return {}

    async def _deny(self, _connection: Connection, request: Request) -> Found:
        said = read(request, _Deny)
        await self.proposals.deny(Deny(actor=OPERATOR, approval=said.id, note=said.note))
        return {}

    async def _review(self, _connection: Connection, request: Request) -> Found:
        return {"review": review_shown(await self.proposals.review(read(request, _Deny).id))}

    async def _request_spawn(self, _connection: Connection, request: Request) -> Found:
        said = read(request, _Spawn)
        return {"approval_id": await self.proposals.request_spawn(OPERATOR, said.name, said.reason, said.config)}

    async def _log(self, _connection: Connection, request: Request) -> Found:
        said = read(request, _Config)
        _check_limit(said.limit)
        return {"log": [attrs.asdict(entry) for entry in await self.proposals.log(said.name, said.limit)]}

    async def _diff(self, _connection: Connection, request: Request) -> Found:
        said = read(request, _Config)
        return {"diff": diff_shown(await self.proposals.diff(said.name, said.old, said.new))}

    async def _show(self, _connection: Connection, request: Request) -> Found:
        return {"files": await self.proposals.files(read(request, _Config).name)}

    async def _roll_back(self, _connection: Connection, request: Request) -> Found:
        said = read(request, _Config)
        return {"approval_id": await self.proposals.roll_back(OPERATOR, said.name, said.commit, said.note)}


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_LISTED:
        raise Invalid(f"limit is {limit}; it is 1 to {MAX_LISTED}")
