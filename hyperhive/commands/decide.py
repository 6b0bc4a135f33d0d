"""Deciding: one pure function from the hive and a command to the facts that follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hyperhive.commands import (
    agents,
    approvals,
    daemon,
    egress,
    messages,
    operators,
    questions,
    reports,
    retention,
    sessions,
)
from hyperhive.commands.authority import authorize
from hyperhive.commands.command import Command
from hyperhive.events.envelope import Cause, Fact
from hyperhive.events.messages import MessagesHandedOver
from hyperhive.events.turns import SlashCommandTaken, TurnStarted
from hyperhive.projections.hive import Hive

DECIDERS: dict[type[Command], Callable[[Hive, Any], list[Fact]]] = {
    messages.SendMessage: messages.send,
    messages.TakeMail: messages.take,
    messages.AcknowledgeMail: messages.acknowledge,
    messages.RequeueMessage: messages.requeue,
    messages.DropMessage: messages.drop,
    agents.SpawnAgent: agents.spawn,
    agents.ReviveAgent: agents.revive,
    agents.StartAgent: agents.start,
    agents.KillAgent: agents.kill,
    agents.RestartAgent: agents.restart,
    agents.RebuildAgent: agents.rebuild,
    agents.DestroyAgent: agents.destroy,
    agents.PurgeTombstone: agents.purge_tombstone,
    agents.LiftQuarantine: agents.lift_quarantine,
    agents.SetPaused: agents.set_paused,
    agents.InterruptTurn: agents.interrupt_turn,
    agents.MoveAgent: agents.move,
    agents.ReportOutcome: agents.report_outcome,
    agents.ReportCrash: agents.report_crash,
    agents.ReportLoss: agents.report_loss,
    agents.ReportReaped: agents.report_reaped,
    reports.ReportTurnStarted: reports.turn_started,
    reports.ReportTurnEnded: reports.turn_ended,
    reports.ReportFact: reports.fact,
    approvals.RequestSpawn: approvals.request_spawn,
    approvals.RequestApply: approvals.request_apply,
    approvals.RollBack: approvals.roll_back,
    approvals.Approve: approvals.approve,
    approvals.Deny: approvals.deny,
    approvals.ReportApplied: approvals.report_applied,
    questions.AskQuestion: questions.ask,
    questions.AnswerQuestion: questions.answer,
    questions.CancelQuestion: questions.cancel,
    questions.ExpireQuestion: questions.expire,
    daemon.CreateHive: daemon.create,
    daemon.FreezeHive: daemon.freeze,
    daemon.ThawHive: daemon.thaw,
    daemon.RecordDaemonStart: daemon.started,
    daemon.RecordRestore: daemon.restored,
    daemon.RecordDaemonStop: daemon.stopped,
    operators.AddOperator: operators.add,
    operators.RemoveOperator: operators.remove,
    retention.ForgetMessages: retention.forget_messages,
    retention.ReportStreamsTrimmed: retention.streams_trimmed,
    egress.ReportEgressBlocked: egress.blocked,
    sessions.ChooseModel: sessions.choose_model,
    sessions.GiveSlashCommand: sessions.give_slash_command,
}


def decide(hive: Hive, command: Command) -> list[Fact]:
    """Return the facts that follow from a command; none where it is so already.

    Sees no clock, disk, socket or random number. Raises a subclass of `Refused`.
    """
    authorize(command)
    return DECIDERS[type(command)](hive, command)


def cause_of(hive: Hive, command: Command, facts: list[Fact]) -> Cause | None:
    """Return the fact that led to a command and so to these facts.

    It is the one that the command names; else, for the ending of a question or an approval, its asking; for mail handed
    over and for a turn on it, the newest of the messages; for a turn on a slash command, that; else the running turn of
    the agent that gives the command.
    """
    if command.cause is not None:
        return command.cause
    if isinstance(command, questions.Resolution):
        asked = hive.questions.get(command.question) or command.closed
        return Cause(asked.position, asked.correlation) if asked is not None else None
    if isinstance(command, approvals.Decision):
        wanted = hive.approvals.get(command.approval) or command.closed
        return Cause(wanted.position, wanted.correlation) if wanted is not None else None
    match facts[0] if facts else None:
        case MessagesHandedOver(to=owner, ids=ids) | TurnStarted(agent=owner, ids=ids):
            return _cause_in_inbox(hive, owner, ids, facts)
    session = hive.sessions.get(command.actor.agent) if command.actor.agent else None
    if session is None or session.turn is None:
        return None
    return Cause(session.turn, session.turn_correlation)


def _cause_in_inbox(hive: Hive, owner: str, ids: tuple[int, ...], facts: list[Fact]) -> Cause | None:
    match facts:
        case [_, SlashCommandTaken(agent=name, id=taken)]:
            command = hive.slash_commands[name, taken]
            return Cause(command.id, command.correlation)
    newest = next((row for id_ in reversed(ids) if (row := hive.messages.get((owner, id_))) is not None), None)
    return Cause(newest.id, newest.correlation) if newest is not None else None
