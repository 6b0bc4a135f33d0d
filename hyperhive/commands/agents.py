"""Deciding about lifecycle: one path for all verbs; what differs is a value."""

from __future__ import annotations

from typing import Any

import attrs

from harness.wire import MANAGER, OPERATOR, SYSTEM, WireError, check_name
from hyperhive.commands.command import Command
from hyperhive.commands.errors import Conflict, Forbidden, Invalid, NotFound
from hyperhive.events import agents as facts
from hyperhive.events.approvals import ApprovalFailed
from hyperhive.events.configurations import ConfigurationReverted
from hyperhive.events.envelope import Fact, Role
from hyperhive.events.turns import TurnInterruptRequested
from hyperhive.projections.agents import QUARANTINE_CRASHES, QUARANTINE_SECONDS, Agent, State, Transient
from hyperhive.projections.approvals import about, being_built
from hyperhive.projections.configurations import Configuration
from hyperhive.projections.hive import Hive


@attrs.frozen(kw_only=True)
class Action(Command):
    """Do something with an agent's container."""

    agent: str


@attrs.frozen(kw_only=True)
class SpawnAgent(Action):
    """Make and start a container, for a new name or for one whose state was kept."""


@attrs.frozen(kw_only=True)
class ReviveAgent(Action):
    """Spawn a destroyed agent again with what it kept, and nothing but such a one."""


@attrs.frozen(kw_only=True)
class StartAgent(Action):
    """Start a stopped container."""


@attrs.frozen(kw_only=True)
class KillAgent(Action):
    """Stop a container."""

    graceful: bool = True


@attrs.frozen(kw_only=True)
class RestartAgent(Action):
    """Stop a container and start it again."""


@attrs.frozen(kw_only=True)
class RebuildAgent(Action):
    """Make the container anew and start it."""


@attrs.frozen(kw_only=True)
class DestroyAgent(Action):
    """Remove the container; with ``purge`` also all that the agent kept."""

    purge: bool = False


@attrs.frozen(kw_only=True)
class PurgeTombstone(Action):
    """Wipe what a destroyed agent kept."""


@attrs.frozen(kw_only=True)
class LiftQuarantine(Action):
    """Let a quarantined agent start again."""


@attrs.frozen(kw_only=True)
class SetPaused(Action):
    """Park an agent's turn loop after the running turn, or let it go on."""

    paused: bool


@attrs.frozen(kw_only=True)
class InterruptTurn(Action):
    """End the running turn now."""


@attrs.frozen(kw_only=True)
class MoveAgent(Action):
    """Let an agent live in another runtime; its state stays."""

    runtime: str
    here: str
    """The runtime that its container is in now."""


@attrs.frozen(kw_only=True)
class ReportOutcome(Command):
    """The lifecycle reactor has done, or could not do, what the intent at position ``intent`` asked for."""

    agent: str
    intent: int
    error: str | None = None
    running: bool = False
    """Whether the container was seen running after a failure, and in which generation."""
    generation: int | None = None


@attrs.frozen(kw_only=True)
class ReportCrash(Command):
    """The crash watch saw a running container stopped.

    So many crashes within so many seconds end in quarantine; only replay asks with other numbers.
    """

    agent: str
    generation: int
    exit_status: int | None = None
    quarantine_crashes: int = QUARANTINE_CRASHES
    quarantine_seconds: int = QUARANTINE_SECONDS


@attrs.frozen(kw_only=True)
class ReportLoss(Command):
    """A daemon that started found no running container where the log has one."""

    agent: str
    generation: int


@attrs.frozen(kw_only=True)
class ReportReaped(Command):
    """A container that should not run was stopped."""

    agent: str
    reason: str


@attrs.frozen(kw_only=True)
class Verb:
    """What one verb does: its intent, its transient, its outcomes."""

    transient: Transient
    succeeded: type
    failed: type
    runs_after: bool
    """Whether the container runs after success, in a new generation."""


VERBS: dict[Transient, Verb] = {
    Transient.SPAWNING: Verb(
        transient=Transient.SPAWNING,
        succeeded=facts.SpawnSucceeded,
        failed=facts.SpawnFailed,
        runs_after=True,
    ),
    Transient.STARTING: Verb(
        transient=Transient.STARTING,
        succeeded=facts.StartSucceeded,
        failed=facts.StartFailed,
        runs_after=True,
    ),
    Transient.STOPPING: Verb(
        transient=Transient.STOPPING,
        succeeded=facts.KillSucceeded,
        failed=facts.KillFailed,
        runs_after=False,
    ),
    Transient.RESTARTING: Verb(
        transient=Transient.RESTARTING,
        succeeded=facts.RestartSucceeded,
        failed=facts.RestartFailed,
        runs_after=True,
    ),
    Transient.REBUILDING: Verb(
        transient=Transient.REBUILDING,
        succeeded=facts.RebuildSucceeded,
        failed=facts.RebuildFailed,
        runs_after=True,
    ),
    Transient.DESTROYING: Verb(
        transient=Transient.DESTROYING,
        succeeded=facts.DestroySucceeded,
        failed=facts.DestroyFailed,
        runs_after=False,
    ),
}


def spawn(hive: Hive, command: SpawnAgent) -> list[Fact]:
    """Ask for a new container; an agent that has one already is a `Conflict`."""
    name = check_new_name(command.agent)
    agent = hive.agents.get(name)
    if agent is not None and agent.state in (State.RUNNING, State.STOPPED):
        raise Conflict(f"{name} exists already and is {agent.state.value}")
    if agent is None:
        return [facts.SpawnRequested(agent=name)]
    return _intent(agent, Transient.SPAWNING, facts.SpawnRequested(agent=name), command)


def check_new_name(name: str) -> str:
    """Return a name that an agent may have; raise `Invalid` for any other."""
    try:
        check_name(name)
    except WireError as error:
        raise Invalid(str(error)) from error
    if name in (OPERATOR, SYSTEM):
        raise Invalid(f"{name!r} is taken: it means the hive's own {name}; choose another name")
    return name


def revive(hive: Hive, command: ReviveAgent) -> list[Fact]:
    """Ask for a container for what a destroyed agent kept.

    Whoever may give this command may spawn, so that nobody else has to approve; it differs in that it makes no new
    agent.
    """
    agent = _without_container(hive, command.agent)
    if agent.state is State.NEW:
        raise NotFound(f"{agent.name} was never made, so there is nothing to revive; spawn it")
    return _intent(agent, Transient.SPAWNING, facts.SpawnRequested(agent=agent.name), command)


def start(hive: Hive, command: StartAgent) -> list[Fact]:
    """Ask for a start; one that runs is started already."""
    agent = require_container(hive, command.agent)
    if agent.pending is None and agent.running:
        return []
    return _intent(agent, Transient.STARTING, facts.StartRequested(agent=command.agent), command)


def kill(hive: Hive, command: KillAgent) -> list[Fact]:
    """Ask for a stop; one that is stopped stays so."""
    agent = require_container(hive, command.agent)
    if agent.pending is None and not agent.running:
        return []
    return _intent(agent, Transient.STOPPING, facts.KillRequested(agent=command.agent, graceful=command.graceful))


def restart(hive: Hive, command: RestartAgent) -> list[Fact]:
    """Ask for a restart; a stopped container is simply started by it."""
    agent = require_container(hive, command.agent)
    return _intent(agent, Transient.RESTARTING, facts.RestartRequested(agent=command.agent), command)


def rebuild(hive: Hive, command: RebuildAgent) -> list[Fact]:
    """Ask for the container to be made anew."""
    agent = require_container(hive, command.agent)
    return _intent(agent, Transient.REBUILDING, facts.RebuildRequested(agent=command.agent))


def destroy(hive: Hive, command: DestroyAgent) -> list[Fact]:
    """Ask for the container to go. The manager stays: a hive without it has nobody to look after the others."""
    if command.agent == MANAGER:
        raise Conflict("the manager cannot be destroyed; kill stops it")
    agent = require_container(hive, command.agent)
    if agent.pending is Transient.DESTROYING and agent.purge != command.purge:
        kept = "its state goes, too" if agent.purge else "keeps its state"
        raise Conflict(f"{command.agent} is destroying and {kept}; wait for it to end")
    return _intent(agent, Transient.DESTROYING, facts.DestroyRequested(agent=command.agent, purge=command.purge))


def _intent(agent: Agent, transient: Transient, event: Fact, starting: Action | None = None) -> list[Fact]:
    """Return the intent, unless it is open already. ``starting`` is a command that a quarantine stands against."""
    if agent.pending is None:
        lifted = _lift(agent, starting) if starting is not None and agent.quarantined else []
        return [*lifted, event]
    if agent.pending is transient:
        return []  # a second click is not a second fact
    raise Conflict(f"{agent.name} is {agent.pending.value}; wait for it to end")


def _lift(agent: Agent, command: Action) -> list[Fact]:
    """Lift the quarantine where the operator starts the agent; nobody else can start it."""
    if command.actor.role is Role.OPERATOR:
        return [facts.QuarantineLifted(agent=agent.name)]
    raise Forbidden(f"{agent.name} is quarantined after {len(agent.crashes)} crashes; only the operator can start it")


def purge_tombstone(hive: Hive, command: PurgeTombstone) -> list[Fact]:
    """Ask for what an agent without a container kept to be wiped, also that of one which could never be made."""
    agent = _without_container(hive, command.agent)
    return _intent(agent, Transient.DESTROYING, facts.DestroyRequested(agent=agent.name, purge=True))


def _without_container(hive: Hive, name: str) -> Agent:
    agent: Agent | None = hive.agents.get(name)
    if agent is None:
        raise NotFound(f"no tombstone of {name!r}")
    if agent.state in (State.RUNNING, State.STOPPED):
        raise Conflict(f"{name} lives; destroy it first")
    return agent


def lift_quarantine(hive: Hive, command: LiftQuarantine) -> list[Fact]:
    """Lift the quarantine; one that is not there needs no lifting."""
    agent = require_container(hive, command.agent)
    return [facts.QuarantineLifted(agent=agent.name)] if agent.quarantined else []


def set_paused(hive: Hive, command: SetPaused) -> list[Fact]:
    """Pause or resume; also a stopped agent, which is paused when it starts."""
    agent = require_container(hive, command.agent)
    if agent.paused == command.paused:
        return []
    return [facts.AgentPaused(agent=agent.name) if command.paused else facts.AgentResumed(agent=agent.name)]


def interrupt_turn(hive: Hive, command: InterruptTurn) -> list[Fact]:
    """Ask for the running turn to end; where none runs there is nothing to end."""
    require_container(hive, command.agent)
    session = hive.sessions.get(command.agent)
    running = session is not None and session.turn is not None
    return [TurnInterruptRequested(agent=command.agent)] if running else []


def move(hive: Hive, command: MoveAgent) -> list[Fact]:
    """Choose the runtime; a running container is made anew there, a stopped one when it starts."""
    agent = require_container(hive, command.agent)
    if agent.pending is not None:
        raise Conflict(f"{agent.name} is {agent.pending.value}; wait for it to end")
    if agent.runtime == command.runtime:
        return []
    moved = facts.AgentMoved(agent=agent.name, runtime=command.runtime)
    if not agent.running or command.here == command.runtime:
        return [moved]
    return [moved, facts.RebuildRequested(agent=agent.name)]


def report_outcome(hive: Hive, command: ReportOutcome) -> list[Fact]:
    """Close the intent. An outcome of an intent that is closed already changes nothing."""
    agent = hive.agents.get(command.agent)
    if agent is None or agent.pending is None or agent.pending_position != command.intent:
        return []
    verb = VERBS[agent.pending]
    if command.error is not None:
        seen = {"running": command.running, "generation": command.generation}
        failed = verb.failed(agent=command.agent, error=command.error, **seen)
        return [failed, *_unapproved(hive, agent, command)]
    details: dict[str, Any] = {}
    if verb.runs_after:
        details["generation"] = agent.generation + 1
    if agent.pending is Transient.DESTROYING:
        details["purge"] = agent.purge
    return [verb.succeeded(agent=command.agent, **details)]


def _unapproved(hive: Hive, agent: Agent, outcome: ReportOutcome) -> list[Fact]:
    """Say that what was approved could not be made, and go back to the former configuration, where there is one.

    A container that was not touched, since not even the build came to its end, still has that: it is left alone.
    """
    approval = being_built(hive.approvals, agent.name)
    if approval is None:
        return []
    told: list[Fact] = [ApprovalFailed(**about(approval), error=str(outcome.error))]
    applied: Configuration | None = hive.configurations.get(agent.name)
    if agent.pending is not Transient.REBUILDING or applied is None or applied.former is None:
        return told
    assert applied.former_settings is not None  # noqa: S101 - they come and go together
    reverted = ConfigurationReverted(
        agent=agent.name,
        approval=approval.id,
        commit=applied.former,
        failed=applied.commit,
        settings=applied.former_settings,
    )
    untouched = outcome.running and outcome.generation == agent.generation
    return [*told, reverted, *(() if untouched else (facts.RebuildRequested(agent=agent.name),))]


def report_crash(hive: Hive, command: ReportCrash) -> list[Fact]:
    """Note a crash, unless something else happened to the container since the watch looked."""
    agent = hive.agents.get(command.agent)
    if agent is None or not agent.running or agent.pending is not None or agent.generation != command.generation:
        return []
    crash = facts.ContainerCrashed(
        agent=command.agent,
        generation=command.generation,
        exit_status=command.exit_status,
    )
    recent = [at for at in agent.crashes if at > command.at - command.quarantine_seconds * 1_000_000]
    if len(recent) + 1 < command.quarantine_crashes:
        return [crash]
    quarantine = facts.AgentQuarantined(
        agent=agent.name,
        crashes=len(recent) + 1,
        within_seconds=command.quarantine_seconds,
    )
    return [crash, quarantine]


def report_loss(hive: Hive, command: ReportLoss) -> list[Fact]:
    """Note that a container which should run does not, found at a start of the daemon."""
    agent = hive.agents.get(command.agent)
    if agent is None or not agent.running or agent.generation != command.generation:
        return []
    return [facts.ContainerLost(agent=command.agent, generation=command.generation)]


def report_reaped(_hive: Hive, command: ReportReaped) -> list[Fact]:
    """Note that a container nobody owned was stopped."""
    return [facts.ContainerReaped(agent=command.agent, reason=command.reason)]


def require_container(hive: Hive, name: str) -> Agent:
    """Return the agent that has a container, or raise `NotFound`."""
    agent: Agent | None = hive.agents.get(name)
    if agent is None:
        known = ", ".join(sorted(hive.agents))
        raise NotFound(f"no agent {name!r}; there are: {known or 'none yet'}")
    if agent.pending is None and agent.state in (State.NEW, State.DESTROYED):
        reason = "was never made" if agent.state is State.NEW else "is destroyed"
        raise NotFound(f"the container of {name} {reason}; spawn it first")
    return agent
