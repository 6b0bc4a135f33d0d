"""Deciding about approvals: asking, and the operator's word on exactly what was shown."""

from __future__ import annotations

import attrs

from harness.wire import OPERATOR
from hyperhive.commands.agents import check_new_name
from hyperhive.commands.command import Command
from hyperhive.commands.errors import Conflict, NotFound, Settled, TooLarge
from hyperhive.events import agents, configurations
from hyperhive.events import approvals as facts
from hyperhive.events.approvals import Kind
from hyperhive.events.configurations import AgentSettings
from hyperhive.events.envelope import Fact
from hyperhive.projections.agents import Agent, State
from hyperhive.projections.approvals import Approval, Status, Work, about
from hyperhive.projections.configurations import commit_of
from hyperhive.projections.hive import Hive
from hyperhive.projections.sequences import APPROVAL, next_id

MAX_NOTE_CHARACTERS = 4_000
MAX_PENDING = 20
"""Requests of one requester that may wait."""


@attrs.frozen(kw_only=True)
class Request(Command):
    """Ask the operator for something about an agent.

    ``commit`` was fetched and checked by whoever gives the command, and ``blocked`` says why it cannot be shown whole.
    """

    agent: str
    note: str = ""
    commit: str | None = None
    blocked: str | None = None


@attrs.frozen(kw_only=True)
class RequestSpawn(Request):
    """Ask for a new agent, or for a destroyed one again."""


@attrs.frozen(kw_only=True)
class RequestApply(Request):
    """Ask that a proposed commit becomes an agent's configuration."""


@attrs.frozen(kw_only=True)
class RollBack(Request):
    """Let a commit that was applied before be the configuration again: asked and granted at once."""


@attrs.frozen(kw_only=True)
class Decision(Command):
    """The operator's word on an approval.

    ``closed`` is its row from the table, where the caller found that it is resolved already: what is resolved never
    changes, so such a row cannot be outdated.
    """

    approval: int
    note: str = ""
    closed: Approval | None = attrs.field(default=None, eq=False)

    @property
    def number(self) -> int:
        """The id of the row that it ends."""
        return self.approval


@attrs.frozen(kw_only=True)
class Approve(Decision):
    """Say yes to what was shown: this commit, in the place of this base.

    ``seen`` is whether the caller states both; one that does not (host.sock, version 1) approves what was asked for,
    where that has not moved since.
    """

    seen: bool = False
    commit: str | None = None
    base: str | None = None


@attrs.frozen(kw_only=True)
class Deny(Decision):
    """Say no."""


@attrs.frozen(kw_only=True)
class ReportApplied(Command):
    """The applier has made an approved commit the agent's configuration, or could not."""

    approval: int
    settings: AgentSettings | None = None
    error: str | None = None


class AlreadyDecided(Settled):
    """Another decision, or a newer request, came first."""

    def __init__(self, number: int, standing: Approval | None) -> None:
        told = "is decided" if standing is None else f"was {standing.status.value} already"
        by = f" by {standing.resolved_by}" if standing is not None and standing.resolved_by else ""
        super().__init__(f"approval {number} {told}{by}", standing)


class Stale(Conflict):
    """What would be applied, or what it would replace, is not what was shown."""


def request_spawn(hive: Hive, command: RequestSpawn) -> list[Fact]:
    """Put the wish for a container before the operator."""
    name = check_new_name(command.agent)
    agent: Agent | None = hive.agents.get(name)
    if agent is not None and agent.state in (State.RUNNING, State.STOPPED):
        raise Conflict(f"{name} exists already and is {agent.state.value}; request_apply_commit changes what it is")
    if agent is not None and agent.pending is not None:
        raise Conflict(f"{name} is {agent.pending.value}; wait for it to end")
    return _request(hive, command, Kind.SPAWN)


def request_apply(hive: Hive, command: RequestApply) -> list[Fact]:
    """Put a commit before the operator; a commit that is applied already is nothing to ask for."""
    require_configurable(hive, command.agent)
    if command.commit == commit_of(hive.configurations, command.agent):
        raise Conflict(f"{command.commit} is what is applied to {command.agent} already")
    return _request(hive, command, Kind.APPLY_COMMIT)


def roll_back(hive: Hive, command: RollBack) -> list[Fact]:
    """Ask and grant at once; the operator has chosen from what was approved before."""
    require_configurable(hive, command.agent)
    _require_rest(hive, command.agent)
    base = commit_of(hive.configurations, command.agent)
    if command.commit is None or command.commit == base:
        raise Conflict(f"{command.commit} is what is applied to {command.agent} already")
    asked = _request(hive, command, Kind.ROLLBACK)
    request = next(fact for fact in asked if isinstance(fact, facts.ApprovalRequested))
    granted = facts.ApprovalGranted(
        id=request.id,
        kind=Kind.ROLLBACK,
        agent=request.agent,
        requester=request.requester,
        commit=command.commit,
        base=base,
        note=request.note,
    )
    return [*asked, granted]


def require_configurable(hive: Hive, name: str) -> None:
    """Raise `NotFound` unless there is such an agent, or its tombstone."""
    if name not in hive.agents:
        raise NotFound(f"no agent {name!r}; there are: {', '.join(sorted(hive.agents)) or 'none yet'}")


def _request(hive: Hive, command: Request, kind: Kind) -> list[Fact]:
    note = command.note.strip()
    if len(note) > MAX_NOTE_CHARACTERS:
        raise TooLarge(f"a note of {len(note)} characters; at most {MAX_NOTE_CHARACTERS} are allowed")
    requester = command.actor.agent or OPERATOR
    pending: list[Approval] = [row for row in hive.approvals.values() if row.work is Work.DECIDE]
    older = [row for row in pending if row.agent == command.agent]
    wanted = (kind, requester, command.commit, note)
    if any((row.kind, row.requester, row.commit, row.note) == wanted for row in older):
        return []  # asking again is not a second wish
    waiting = sum(row.requester == requester for row in pending) - sum(row.requester == requester for row in older)
    if waiting >= MAX_PENDING and requester != OPERATOR:
        raise Conflict(f"{waiting} requests of {requester} wait already; at most {MAX_PENDING} may")
    id_ = next_id(hive.sequences, APPROVAL)
    asked = facts.ApprovalRequested(
        id=id_,
        kind=kind,
        agent=command.agent,
        requester=requester,
        note=note,
        commit=command.commit,
        base=commit_of(hive.configurations, command.agent),
        blocked=command.blocked,
    )
    return [asked, *(facts.ApprovalSuperseded(**about(row), by=id_) for row in older)]


def approve(hive: Hive, command: Approve) -> list[Fact]:
    """Grant what was shown, unless it moved since, cannot be shown, or was decided already."""
    row = _pending(hive, command)
    if row.blocked is not None:
        raise Conflict(f"approval {row.id} cannot be approved: {row.blocked}")
    _require_rest(hive, row.agent)
    base = commit_of(hive.configurations, row.agent)
    shown_commit, shown_base = (command.commit, command.base) if command.seen else (row.commit, row.base)
    if shown_commit != row.commit:
        raise Stale(f"not approved: {_short(shown_commit)} was shown, {_short(row.commit)} is asked for; look again")
    if shown_base != base:
        raise Stale(f"not approved: the base moved from {_short(shown_base)} to {_short(base)}; look again")
    if row.kind is not Kind.SPAWN and row.commit == base:
        raise Conflict(f"{_short(row.commit)} is what is applied to {row.agent} already; deny approval {row.id}")
    granted = facts.ApprovalGranted(**about(row), commit=row.commit, base=base, note=_note(command))
    if row.commit is None or row.commit == base:
        return [granted, *_spawned(hive, _spawnable(hive, row))]
    if row.kind is Kind.SPAWN:
        _spawnable(hive, row)
    return [granted]


def deny(hive: Hive, command: Deny) -> list[Fact]:
    """Refuse it."""
    row = _pending(hive, command)
    return [facts.ApprovalDenied(**about(row), note=_note(command))]


def report_applied(hive: Hive, command: ReportApplied) -> list[Fact]:
    """Note the new configuration, and ask for the container that is made from it. What is done already stays."""
    row: Approval | None = hive.approvals.get(command.approval)
    if row is None or row.work is not Work.APPLY or row.commit is None:
        return []
    if command.settings is None:
        return [facts.ApprovalFailed(**about(row), error=command.error or "no reason was given")]
    agent: Agent | None = hive.agents.get(row.agent)
    alive = agent is not None and agent.state in (State.RUNNING, State.STOPPED)
    intent: list[Fact] = []
    if row.kind is Kind.SPAWN and not alive:
        intent = _spawned(hive, row.agent)
    elif agent is not None and agent.running:
        intent = [agents.RebuildRequested(agent=row.agent)]
    applied = configurations.ConfigurationApplied(
        agent=row.agent,
        approval=row.id,
        commit=row.commit,
        base=row.base,
        settings=command.settings,
        builds=bool(intent),
    )
    return [applied, *intent]


def _require_rest(hive: Hive, agent: str) -> None:
    """Raise `Conflict` while an approved configuration is on its way: nobody can say yet what the base will be."""
    for row in hive.approvals.values():
        if row.agent == agent and row.work in (Work.APPLY, Work.BUILD):
            raise Conflict(
                f"approval {row.id} of {agent} is still being carried out; wait for it to end, and look again"
            )


def _spawned(hive: Hive, name: str) -> list[Fact]:
    """Return the intent, and that the quarantine ends: it was the operator who wanted it to run."""
    agent: Agent | None = hive.agents.get(name)
    quarantined = agent is not None and agent.quarantined
    lifted: list[Fact] = [agents.QuarantineLifted(agent=name)] if quarantined else []
    return [*lifted, agents.SpawnRequested(agent=name)]


def _spawnable(hive: Hive, row: Approval) -> str:
    agent: Agent | None = hive.agents.get(row.agent)
    if agent is not None and (agent.state in (State.RUNNING, State.STOPPED) or agent.pending is not None):
        now = agent.pending.value if agent.pending is not None else agent.state.value
        raise Conflict(f"{row.agent} is {now} by now; deny approval {row.id}")
    return row.agent


def _pending(hive: Hive, command: Decision) -> Approval:
    row: Approval | None = hive.approvals.get(command.approval) or command.closed
    if row is None:
        if 1 <= command.approval < next_id(hive.sequences, APPROVAL):
            raise AlreadyDecided(command.approval, None)
        raise NotFound(f"no approval {command.approval}")
    if row.status is not Status.PENDING:
        raise AlreadyDecided(row.id, row)
    return row


def _note(command: Decision) -> str:
    note = command.note.strip()
    if len(note) > MAX_NOTE_CHARACTERS:
        raise TooLarge(f"a note of {len(note)} characters; at most {MAX_NOTE_CHARACTERS} are allowed")
    return note


def _short(commit: str | None) -> str:
    return "nothing" if commit is None else commit[:12]
