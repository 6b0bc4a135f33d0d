"""Who may do what."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from hyperhive.commands.agents import (
    DestroyAgent,
    InterruptTurn,
    KillAgent,
    LiftQuarantine,
    MoveAgent,
    PurgeTombstone,
    RebuildAgent,
    ReportCrash,
    ReportLoss,
    ReportOutcome,
    ReportReaped,
    RestartAgent,
    ReviveAgent,
    SetPaused,
    SpawnAgent,
    StartAgent,
)
from hyperhive.commands.approvals import Approve, Deny, ReportApplied, RequestApply, RequestSpawn, RollBack
from hyperhive.commands.authority import MAY, authorize
from hyperhive.commands.command import Command
from hyperhive.commands.daemon import (
    CreateHive,
    FreezeHive,
    RecordDaemonStart,
    RecordDaemonStop,
    RecordRestore,
    ThawHive,
)
from hyperhive.commands.decide import DECIDERS, decide
from hyperhive.commands.egress import ReportEgressBlocked
from hyperhive.commands.errors import Forbidden
from hyperhive.commands.messages import AcknowledgeMail, DropMessage, RequeueMessage, SendMessage, TakeMail
from hyperhive.commands.operators import AddOperator, RemoveOperator
from hyperhive.commands.questions import AnswerQuestion, AskQuestion, CancelQuestion, ExpireQuestion
from hyperhive.commands.reports import ReportFact, ReportTurnEnded, ReportTurnStarted
from hyperhive.commands.retention import ForgetMessages, ReportStreamsTrimmed
from hyperhive.commands.sessions import ChooseModel, GiveSlashCommand
from hyperhive.events.egress import EgressBlocked
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR, Actor, Role, actor_of_agent
from hyperhive.events.turns import ModelChanged, TurnEnded
from hyperhive.projections.hive import Hive

CODER = actor_of_agent("coder")

VIEWER = Actor(Role.VIEWER, "bob")

OUTSIDE = {CODER: "agent", MANAGER: "manager", OPERATOR: "operator", DAEMON: "daemon", VIEWER: "viewer"}
"""One actor of each role."""

TABLE: dict[type[Command], str] = {
    SendMessage: "operator manager agent",
    TakeMail: "operator manager agent",
    AcknowledgeMail: "operator manager agent",
    RequeueMessage: "operator",
    DropMessage: "operator",
    SpawnAgent: "operator daemon",
    StartAgent: "operator manager daemon",
    KillAgent: "operator manager",
    RestartAgent: "operator manager",
    RebuildAgent: "operator",
    DestroyAgent: "operator",
    PurgeTombstone: "operator",
    ReviveAgent: "operator",
    LiftQuarantine: "operator",
    SetPaused: "operator",
    InterruptTurn: "operator",
    MoveAgent: "operator",
    ReportEgressBlocked: "daemon",
    ReportOutcome: "daemon",
    ReportCrash: "daemon",
    ReportLoss: "daemon",
    ReportReaped: "daemon",
    ReportTurnStarted: "manager agent",
    ReportTurnEnded: "manager agent",
    ReportFact: "manager agent",
    RequestSpawn: "operator manager",
    RequestApply: "operator manager",
    RollBack: "operator",
    Approve: "operator",
    Deny: "operator",
    ReportApplied: "daemon",
    AskQuestion: "manager",
    AnswerQuestion: "operator",
    CancelQuestion: "operator",
    ExpireQuestion: "daemon",
    FreezeHive: "operator",
    ThawHive: "operator",
    CreateHive: "daemon",
    RecordDaemonStart: "daemon",
    RecordDaemonStop: "daemon",
    RecordRestore: "operator",
    AddOperator: "operator",
    RemoveOperator: "operator",
    ForgetMessages: "daemon",
    ReportStreamsTrimmed: "daemon",
    ChooseModel: "operator",
    GiveSlashCommand: "operator",
}
"""What the contract says, written a second time and by hand: a role that gains a command must gain it here, too."""


def command_of(kind: type[Command], actor: Actor) -> Command:
    """Return a command of this kind about the actor itself where it is about mail or reports, else about tester."""
    own = actor.agent or "operator"
    fields: dict[type[Command], dict[str, Any]] = {
        SendMessage: {"to": "tester", "body": "x"},
        TakeMail: {"to": own},
        AcknowledgeMail: {"to": own, "ids": (1,)},
        RequeueMessage: {"to": "tester", "message": 1},
        DropMessage: {"to": "tester", "message": 1},
        ReportOutcome: {"agent": "tester", "intent": 1},
        ReportCrash: {"agent": "tester", "generation": 1},
        ReportLoss: {"agent": "tester", "generation": 1},
        MoveAgent: {"agent": "tester", "runtime": "podman", "here": "bubblewrap"},
        ReportEgressBlocked: {"blocked": EgressBlocked(agent="tester", host="example.org", port=443)},
        ReportReaped: {"agent": "tester", "reason": "x"},
        ReportTurnStarted: {"agent": own},
        ReportTurnEnded: {"agent": own, "ended": TurnEnded(agent=own, ok=True)},
        ReportFact: {"agent": own, "fact": ModelChanged(agent=own, model="x")},
        Approve: {"approval": 1},
        Deny: {"approval": 1},
        ReportApplied: {"approval": 1},
        AskQuestion: {"question": "which?"},
        AnswerQuestion: {"question": 1, "text": "this"},
        CancelQuestion: {"question": 1},
        ExpireQuestion: {"question": 1},
        SetPaused: {"agent": "tester", "paused": True},
        FreezeHive: {},
        AddOperator: {"name": "ann", "role": "viewer", "key_hash": "00"},
        RemoveOperator: {"name": "ann"},
        ThawHive: {},
        CreateHive: {"hive": "x"},
        RecordDaemonStart: {"release": "1", "runtime": "process"},
        RecordDaemonStop: {},
        RecordRestore: {"epoch": "x", "position": 0, "head": "00"},
        ForgetMessages: {"before": 1, "count": 1},
        ReportStreamsTrimmed: {"agents": ("tester",), "events": 1},
        ChooseModel: {"agent": "tester", "model": "opus"},
        GiveSlashCommand: {"agent": "tester", "text": "/compact"},
    }
    return kind(actor=actor, **fields.get(kind, {"agent": "tester"}))


def leaves(kind: type[Command]) -> set[type[Command]]:
    """Return the command classes that have no subclasses."""
    below = {leaf for sub in kind.__subclasses__() for leaf in leaves(sub)}
    return below or {kind}


class TestTable:
    """The table of roles."""

    def test_complete(self) -> None:
        """Every command class has its roles, its decider and its expectation here."""
        # attrs makes a class with slots twice; only the second one is found by its name.
        named = ((kind, vars(sys.modules[kind.__module__]).get(kind.__name__)) for kind in leaves(Command))
        real = {kind for kind, found in named if kind is found}
        assert real == MAY.keys() == DECIDERS.keys() == TABLE.keys()

    @pytest.mark.parametrize("actor", OUTSIDE, ids=str)
    @pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
    def test_roles(self, kind: type[Command], actor: Actor) -> None:
        """Each role may give just the commands that the contract says."""
        command = command_of(kind, actor)
        if OUTSIDE[actor] in TABLE[kind].split():
            authorize(command)
        else:
            with pytest.raises(Forbidden, match=f"^{actor} may not "):
                authorize(command)

    def test_unknown_command(self) -> None:
        """A command that stands in no table may be given by nobody, not even the daemon."""

        class Mischief(Command):
            pass

        for actor in OUTSIDE:
            with pytest.raises(Forbidden, match="may not mischief"):
                decide(Hive(), Mischief(actor=actor))

    def test_named_operator(self) -> None:
        """An operator who is known as a person may do what the operator may."""
        authorize(KillAgent(actor=Actor(Role.OPERATOR, "anna"), agent="coder"))

    def test_agents_that_may_ask(self) -> None:
        """Where the operator's configuration allows it, agents may ask, too; the operator and the daemon never."""
        authorize(AskQuestion(actor=CODER, question="which?", agents_may_ask=True))
        with pytest.raises(Forbidden):
            authorize(AskQuestion(actor=OPERATOR, question="which?", agents_may_ask=True))


class TestOneself:
    """What depends on whom a command is about."""

    @pytest.mark.parametrize(
        "command",
        [
            TakeMail(actor=CODER, to="reviewer"),
            TakeMail(actor=MANAGER, to="coder"),
            TakeMail(actor=OPERATOR, to="coder"),
            AcknowledgeMail(actor=CODER, to="reviewer", ids=(1,)),
            AcknowledgeMail(actor=OPERATOR, to="coder", ids=(1,)),
        ],
        ids=repr,
    )
    def test_mail_of_others(self, command: Command) -> None:
        """Nobody reads or acknowledges mail of others."""
        with pytest.raises(Forbidden, match="only its own"):
            authorize(command)

    def test_reports_about_others(self) -> None:
        """A harness reports for its own agent alone."""
        with pytest.raises(Forbidden, match="agent:coder may not report for reviewer"):
            authorize(ReportTurnStarted(actor=CODER, agent="reviewer"))

    def test_reports_in_another_s_name(self) -> None:
        """The fact inside a report cannot be about somebody else than the report."""
        with pytest.raises(Forbidden, match="agent:coder may not report for reviewer"):
            authorize(ReportFact(actor=CODER, agent="coder", fact=ModelChanged(agent="reviewer", model="x")))
        with pytest.raises(Forbidden, match="agent:coder may not report for reviewer"):
            authorize(ReportTurnEnded(actor=CODER, agent="coder", ended=TurnEnded(agent="reviewer", ok=True)))

    @pytest.mark.parametrize("verb", [StartAgent, KillAgent, RestartAgent], ids=lambda verb: verb.__name__)
    def test_own_container(self, verb: type[StartAgent]) -> None:
        """The manager does not act on the container that it runs in; the operator can."""
        with pytest.raises(Forbidden, match="itself; the operator can"):
            authorize(verb(actor=MANAGER, agent="manager"))
        authorize(verb(actor=OPERATOR, agent="manager"))
