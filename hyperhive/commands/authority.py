"""Who may do what: the one place that knows."""

from __future__ import annotations

from harness.wire import OPERATOR
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
from hyperhive.commands.command import Command
from hyperhive.commands.errors import Forbidden
from hyperhive.events.envelope import Role

_NOBODY: frozenset[Role] = frozenset()
_PEOPLE = frozenset({Role.OPERATOR})
_LEADERS = frozenset({Role.OPERATOR, Role.MANAGER})
_AGENTS = frozenset({Role.MANAGER, Role.AGENT})
_EVERYBODY = frozenset({Role.OPERATOR, Role.MANAGER, Role.AGENT})
_DAEMON = frozenset({Role.DAEMON})

MAY: dict[type[Command], frozenset[Role]] = {
    messages.SendMessage: _EVERYBODY,
    messages.TakeMail: _EVERYBODY,
    messages.AcknowledgeMail: _EVERYBODY,
    messages.RequeueMessage: _PEOPLE,
    messages.DropMessage: _PEOPLE,
    agents.SpawnAgent: _PEOPLE | _DAEMON,
    agents.ReviveAgent: _PEOPLE,
    agents.StartAgent: _LEADERS | _DAEMON,
    agents.KillAgent: _LEADERS,
    agents.RestartAgent: _LEADERS,
    agents.RebuildAgent: _PEOPLE,
    agents.DestroyAgent: _PEOPLE,
    agents.PurgeTombstone: _PEOPLE,
    agents.LiftQuarantine: _PEOPLE,
    agents.SetPaused: _PEOPLE,
    agents.InterruptTurn: _PEOPLE,
    agents.MoveAgent: _PEOPLE,
    agents.ReportOutcome: _DAEMON,
    agents.ReportCrash: _DAEMON,
    agents.ReportLoss: _DAEMON,
    agents.ReportReaped: _DAEMON,
    reports.ReportTurnStarted: _AGENTS,
    reports.ReportTurnEnded: _AGENTS,
    reports.ReportFact: _AGENTS,
    approvals.RequestSpawn: _LEADERS,
    approvals.RequestApply: _LEADERS,
    approvals.RollBack: _PEOPLE,
    approvals.Approve: _PEOPLE,
    approvals.Deny: _PEOPLE,
    approvals.ReportApplied: _DAEMON,
    questions.AskQuestion: _AGENTS,
    questions.AnswerQuestion: _PEOPLE,
    questions.CancelQuestion: _PEOPLE,
    questions.ExpireQuestion: _DAEMON,
    daemon.CreateHive: _DAEMON,
    daemon.FreezeHive: _PEOPLE,
    daemon.ThawHive: _PEOPLE,
    daemon.RecordDaemonStart: _DAEMON,
    daemon.RecordRestore: _PEOPLE,
    daemon.RecordDaemonStop: _DAEMON,
    operators.AddOperator: _PEOPLE,
    operators.RemoveOperator: _PEOPLE,
    retention.ForgetMessages: _DAEMON,
    retention.ReportStreamsTrimmed: _DAEMON,
    egress.ReportEgressBlocked: _DAEMON,
    sessions.ChooseModel: _PEOPLE,
    sessions.GiveSlashCommand: _PEOPLE,
}
"""By command: the roles that may give it at all. A command that does not stand here may be given by nobody."""


def authorize(command: Command) -> None:
    """Raise `Forbidden` unless the actor may give this command.

    Besides the role: an agent reads, acknowledges and reports for itself alone, asks the operator where the operator
    has allowed it, and nobody acts on its own container.
    """
    kind = type(command)
    if command.actor.role not in MAY.get(kind, _NOBODY):
        raise Forbidden(f"{command.actor} may not {_words(kind)}")
    if kind is messages.SendMessage:  # nearly all that is ever asked
        return
    own = command.actor.agent or OPERATOR
    if isinstance(command, messages.TakeMail | messages.AcknowledgeMail) and command.to != own:
        raise Forbidden(f"{command.actor} may not {_words(kind)} of {command.to}; only its own")
    if isinstance(command, reports.Report) and (others := command.about - {own}):
        raise Forbidden(f"{command.actor} may not report for {', '.join(sorted(others))}; only for itself")
    if isinstance(command, questions.AskQuestion) and not (
        command.actor.role is Role.MANAGER or command.agents_may_ask
    ):
        raise Forbidden(f"{command.actor} may not ask the operator; write to the manager, who can")
    if isinstance(command, agents.Action) and command.agent == command.actor.agent:
        verb = _words(kind).removesuffix(" agent")
        raise Forbidden(f"{command.agent} may not {verb} itself; the operator can")


def _words(kind: type) -> str:
    name = kind.__name__
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
