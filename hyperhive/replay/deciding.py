"""Facts back to the commands that they were decided from, so that the real deciders can decide them again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from hyperhive.commands import agents, approvals, daemon, messages, questions, reports, retention, sessions
from hyperhive.commands.command import Command
from hyperhive.events.approvals import Kind
from hyperhive.events.envelope import Actor, Recorded, Role
from hyperhive.projections.agents import QUARANTINE_CRASHES, QUARANTINE_SECONDS, State
from hyperhive.projections.hive import Hive
from hyperhive.projections.questions import Question


class Gone(Exception):  # noqa: N818
    """There is nothing left that this could be decided on."""


@attrs.frozen(kw_only=True)
class Quarantine:
    """When an agent is quarantined."""

    crashes: int = QUARANTINE_CRASHES
    seconds: int = QUARANTINE_SECONDS


@attrs.frozen(kw_only=True)
class Decision:
    """The facts of one decision, as the log has them."""

    facts: tuple[Recorded, ...]

    @property
    def first(self) -> Recorded:
        """The fact that it is told by."""
        return self.facts[0]


_TOGETHER = frozenset(
    {
        ("QuarantineLifted", "StartRequested"),
        ("QuarantineLifted", "SpawnRequested"),
        ("QuarantineLifted", "RestartRequested"),
        ("ContainerCrashed", "AgentQuarantined"),
        ("TurnStarted", "SlashCommandTaken"),
        ("TurnEnded", "MessagesAcknowledged"),
        ("TurnEnded", "BudgetExhausted"),
        ("MessagesAcknowledged", "BudgetExhausted"),
        ("ApprovalRequested", "ApprovalSuperseded"),
        ("ApprovalSuperseded", "ApprovalSuperseded"),
        ("ApprovalRequested", "ApprovalGranted"),
        ("ApprovalSuperseded", "ApprovalGranted"),
        ("ApprovalGranted", "SpawnRequested"),
        ("ConfigurationApplied", "SpawnRequested"),
        ("ConfigurationApplied", "RebuildRequested"),
        ("SpawnFailed", "ApprovalFailed"),
        ("RebuildFailed", "ApprovalFailed"),
        ("ApprovalFailed", "ConfigurationReverted"),
        ("ConfigurationReverted", "RebuildRequested"),
        ("MessagesHandedOver", "MessagesParked"),
    }
)
"""What one command leads to, in this order, where it leads to more than one fact."""


def decisions(facts: Iterable[Recorded]) -> Iterator[Decision]:
    """Group facts by the command that they were decided from."""
    held: list[Recorded] = []
    for fact in facts:
        if held and not _one_decision(held[-1], fact):
            yield Decision(facts=tuple(held))
            held = []
        held.append(fact)
    if held:
        yield Decision(facts=tuple(held))


def _one_decision(fact: Recorded, after: Recorded) -> bool:
    same = (fact.at, fact.actor, fact.causation) == (after.at, after.actor, after.causation)
    return same and (fact.type, after.type) in _TOGETHER


@attrs.frozen(kw_only=True)
class Setting:
    """In which hive a decision is made again."""

    hive: Hive
    recorded: Hive
    """As it really stood."""
    questions: dict[int, int] = attrs.field(factory=dict)
    """By a question's id on record: its id here."""
    approvals: dict[int, int] = attrs.field(factory=dict)
    """By an approval's id on record: its id here."""
    closed: dict[int, Question] = attrs.field(factory=dict)
    """Questions that are resolved here, by their id here."""
    quarantine: Quarantine = attrs.field(factory=Quarantine)

    def generation(self, agent: str, on_record: int) -> int:
        """Return which container here is the one that was meant; raises `Gone` where there is none."""
        then, here = self.recorded.agents.get(agent), self.hive.agents.get(agent)
        if here is None or not here.running:
            raise Gone(f"{agent} does not run then")
        return here.generation if then is not None and then.generation == on_record else on_record

    def approval(self, on_record: int) -> int:
        """Return the id that an approval has here; raises `Gone` where it is not pending or under way."""
        number = self.approvals.get(on_record, on_record)
        if number not in self.hive.approvals:
            raise Gone(f"approval {on_record} is not there to be decided or done")
        return number

    def question(self, on_record: int) -> int:
        """Return the id that a question has here; raises `Gone` where it was never asked."""
        number = self.questions.get(on_record, on_record)
        if number not in self.hive.questions and number not in self.closed:
            raise Gone(f"question {on_record} was never asked")
        return number


Make = Callable[[Decision, Setting], Command]


def command_of(decision: Decision, setting: Setting) -> Command | None:
    """Return the command as it would be given here; None for facts of which that is not known.

    Raises `Gone` where there is nothing left to decide on.
    """
    types = tuple(fact.type for fact in decision.facts)
    make = _MAKE.get(types[-1] if types[0] == "QuarantineLifted" else types[0])
    if make is None:
        return None
    command = make(decision, setting)
    return attrs.evolve(command, at=decision.first.at)


def _actor(decision: Decision) -> Actor:
    role, _, name = decision.first.actor.partition(":")
    return Actor(Role(role), name or role)


def _act(kind: type[Command], *same: str, **named: str) -> Make:
    """Make a command with fields of the decision's last fact, by their own or another name."""

    def make(decision: Decision, _setting: Setting) -> Command:
        event = decision.facts[-1].event
        fields = {name: getattr(event, name) for name in same}
        fields |= {name: getattr(event, theirs) for name, theirs in named.items()}
        return kind(actor=_actor(decision), **fields)

    return make


def _take(decision: Decision, setting: Setting) -> Command:
    """Take the mail that was taken, and what waits only here."""
    to = decision.first.event.to
    taken = {id_ for fact in decision.facts for id_ in fact.event.ids}
    left = frozenset(id_ for _, id_ in setting.recorded.messages.group(to) if id_ not in taken)
    return messages.TakeMail(actor=_actor(decision), to=to, holding=left)


def _destroy(decision: Decision, setting: Setting) -> Command:
    event = decision.first.event
    agent = setting.recorded.agents.get(event.agent)
    if agent is not None and agent.state in (State.NEW, State.DESTROYED):
        return agents.PurgeTombstone(actor=_actor(decision), agent=event.agent)
    return agents.DestroyAgent(actor=_actor(decision), agent=event.agent, purge=event.purge)


def _outcome(decision: Decision, setting: Setting) -> Command:
    event = decision.first.event
    then = setting.recorded.agents.get(event.agent)
    error = getattr(event, "error", None)
    seen = {"running": event.running, "generation": event.generation} if error is not None else {}
    intent = then.pending_position if then is not None and then.pending_position is not None else 0
    here = setting.hive.agents.get(event.agent)
    if here is None or here.pending_position != intent:
        raise Gone("what it is the outcome of was never asked for")
    return agents.ReportOutcome(actor=_actor(decision), agent=event.agent, intent=intent, error=error, **seen)


def _crash(decision: Decision, setting: Setting) -> Command:
    event = decision.first.event
    return agents.ReportCrash(
        actor=_actor(decision),
        agent=event.agent,
        generation=setting.generation(event.agent, event.generation),
        exit_status=event.exit_status,
        quarantine_crashes=setting.quarantine.crashes,
        quarantine_seconds=setting.quarantine.seconds,
    )


def _loss(decision: Decision, setting: Setting) -> Command:
    event = decision.first.event
    generation = setting.generation(event.agent, event.generation)
    return agents.ReportLoss(actor=_actor(decision), agent=event.agent, generation=generation)


def _turn_started(decision: Decision, setting: Setting) -> Command:
    event = decision.first.event
    then, here = setting.recorded.messages, setting.hive.messages
    keys = [(event.agent, id_) for id_ in event.ids]
    handed = [
        key for key in keys if key in here and (here[key].deliveries or not (key in then and then[key].deliveries))
    ]
    ids = tuple(id_ for _, id_ in handed)
    if event.ids and not ids:
        raise Gone(f"none of its mail would have been handed to {event.agent}")
    command = next((fact.event.id for fact in decision.facts if fact.type == "SlashCommandTaken"), None)
    if command is not None and (event.agent, command) not in setting.hive.slash_commands:
        raise Gone(f"the command that it was on was not given to {event.agent}")
    return reports.ReportTurnStarted(actor=_actor(decision), agent=event.agent, ids=ids, command=command)


def _turn_ended(decision: Decision, setting: Setting) -> Command:
    event = decision.first.event
    session, then = setting.hive.sessions.get(event.agent), setting.recorded.sessions.get(event.agent)
    if then is not None and then.turn is not None and (session is None or session.turn is None):
        raise Gone("its turn never began")
    ack = next((fact.event.ids for fact in decision.facts if fact.type == "MessagesAcknowledged"), ())
    return reports.ReportTurnEnded(actor=_actor(decision), agent=event.agent, ended=event, ack=ack)


def _report(decision: Decision, setting: Setting) -> Command:
    event = decision.first.event
    agent = setting.hive.agents.get(event.agent)
    if agent is None or not (agent.running or agent.pending is not None):
        raise Gone(f"{event.agent} does not run then")
    return reports.ReportFact(actor=_actor(decision), agent=event.agent, fact=event)


def _ask(decision: Decision, _setting: Setting) -> Command:
    fact, event = decision.first, decision.first.event
    ttl = None if event.deadline_at is None else (event.deadline_at - fact.at) // 1_000_000
    return questions.AskQuestion(
        actor=_actor(decision),
        question=event.question,
        options=event.options,
        multi=event.multi,
        ttl_seconds=ttl,
        agents_may_ask=True,  # it was asked, so it was allowed
    )


def _resolve(kind: type[questions.Resolution]) -> Make:
    def make(decision: Decision, setting: Setting) -> Command:
        event = decision.first.event
        number = setting.question(event.id)
        fields: dict[str, Any] = {"question": number, "closed": setting.closed.get(number)}
        if kind is questions.AnswerQuestion:
            fields["text"] = event.answer
        return kind(actor=_actor(decision), **fields)

    return make


def _request(decision: Decision, _setting: Setting) -> Command:
    event = decision.first.event
    kinds: dict[Kind, type[approvals.Request]] = {
        Kind.SPAWN: approvals.RequestSpawn,
        Kind.APPLY_COMMIT: approvals.RequestApply,
        Kind.ROLLBACK: approvals.RollBack,
    }
    return kinds[event.kind](
        actor=_actor(decision), agent=event.agent, note=event.note, commit=event.commit, blocked=event.blocked
    )


def _approve(decision: Decision, setting: Setting) -> Command:
    event = decision.first.event
    return approvals.Approve(
        actor=_actor(decision),
        approval=setting.approval(event.id),
        note=event.note,
        seen=True,
        commit=event.commit,
        base=event.base,
    )


def _deny(decision: Decision, setting: Setting) -> Command:
    event = decision.first.event
    return approvals.Deny(actor=_actor(decision), approval=setting.approval(event.id), note=event.note)


def _applied(decision: Decision, setting: Setting) -> Command:
    event = decision.first.event
    return approvals.ReportApplied(
        actor=_actor(decision), approval=setting.approval(event.approval), settings=event.settings
    )


def _not_applied(decision: Decision, setting: Setting) -> Command:
    event = decision.first.event
    return approvals.ReportApplied(actor=_actor(decision), approval=setting.approval(event.id), error=event.error)


_REPORTS = ("HarnessStarted", "StatusChanged", "ModelChanged", "SessionLost", "LoginNeeded", "HarnessReported")

_MAKE: dict[str, Make] = {
    "ToolServersFailed": _report,
    "ApprovalRequested": _request,
    "ApprovalGranted": _approve,
    "ApprovalDenied": _deny,
    "ApprovalFailed": _not_applied,
    "ConfigurationApplied": _applied,
    "MessageSent": _act(messages.SendMessage, "to", "body"),
    "MessagesHandedOver": _take,
    "MessagesParked": _take,
    "MessagesAcknowledged": _act(messages.AcknowledgeMail, "to", "ids"),
    "MessageRequeued": _act(messages.RequeueMessage, "to", message="id"),
    "SpawnRequested": _act(agents.SpawnAgent, "agent"),
    "StartRequested": _act(agents.StartAgent, "agent"),
    "KillRequested": _act(agents.KillAgent, "agent", "graceful"),
    "RestartRequested": _act(agents.RestartAgent, "agent"),
    "RebuildRequested": _act(agents.RebuildAgent, "agent"),
    "DestroyRequested": _destroy,
    "QuarantineLifted": _act(agents.LiftQuarantine, "agent"),
    "AgentPaused": lambda decision, _: agents.SetPaused(
        actor=_actor(decision), agent=decision.first.event.agent, paused=True
    ),
    "AgentResumed": lambda decision, _: agents.SetPaused(
        actor=_actor(decision), agent=decision.first.event.agent, paused=False
    ),
    "TurnInterruptRequested": _act(agents.InterruptTurn, "agent"),
    "ModelChosen": _act(sessions.ChooseModel, "agent", "model"),
    "SlashCommandGiven": _act(sessions.GiveSlashCommand, "agent", "text"),
    "ContainerCrashed": _crash,
    "ContainerLost": _loss,
    "ContainerReaped": _act(agents.ReportReaped, "agent", "reason"),
    "TurnStarted": _turn_started,
    "TurnEnded": _turn_ended,
    "QuestionAsked": _ask,
    "QuestionAnswered": _resolve(questions.AnswerQuestion),
    "QuestionAnsweredLate": _resolve(questions.AnswerQuestion),
    "QuestionCancelled": _resolve(questions.CancelQuestion),
    "QuestionExpired": _resolve(questions.ExpireQuestion),
    "HiveCreated": _act(daemon.CreateHive, "hive"),
    "HiveFrozen": _act(daemon.FreezeHive),
    "HiveThawed": _act(daemon.ThawHive),
    "DaemonStarted": _act(daemon.RecordDaemonStart, "release", "runtime"),
    "DaemonStopped": _act(daemon.RecordDaemonStop),
    "MessagesForgotten": _act(retention.ForgetMessages, "before", "count"),
    "StreamsTrimmed": _act(retention.ReportStreamsTrimmed, "agents", "events"),
    **{
        f"{verb}{ending}": _outcome
        for verb in ("Spawn", "Start", "Kill", "Restart", "Rebuild", "Destroy")
        for ending in ("Succeeded", "Failed")
    },
    **dict.fromkeys(_REPORTS, _report),
}
"""By type. Facts of other types are kept as they are recorded."""
