"""Histories that no one thought of: any command at any moment, through a real dispatcher into a real file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs
from hypothesis import strategies as st

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
from hyperhive.commands.errors import Refused
from hyperhive.events import turns
from hyperhive.events.configurations import AgentSettings, McpServer
from hyperhive.events.egress import EgressBlocked
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR, actor_of_agent
from hyperhive.projections.approvals import Work
from hyperhive.projections.hive import Hive
from hyperhive.projections.questions import Question, Status
from hyperhive.projections.sequences import QUESTION, next_id
from tests.commands.desk import Desk
from tests.language import DAWN

NAMES = ("manager", "coder", "reviewer")


@attrs.frozen
class Step:
    """One command about one agent; ``number`` chooses among what the hive has at that moment."""

    make: Callable[[Hive, str, int], Command]
    name: str
    number: int


def _ids(hive: Hive, name: str, number: int) -> tuple[int, ...]:
    """Return some of the open messages of an inbox."""
    return tuple(row.id for row in hive.messages.group(name).values())[: 1 + number]


def _outcome(hive: Hive, name: str, number: int) -> Command:
    row = hive.agents.get(name)
    intent = row.pending_position if row is not None and row.pending_position is not None else number
    error = "exit 1" if number % 3 == 0 else None
    return agents.ReportOutcome(actor=DAEMON, agent=name, intent=intent, error=error, running=number % 2 == 0)


def _generation(hive: Hive, name: str) -> int:
    row = hive.agents.get(name)
    return row.generation if row is not None else 0


def _fact(_hive: Hive, name: str, number: int) -> Command:
    fact = (
        turns.HarnessStarted(agent=name, run=f"run-{number}", version="1"),
        turns.StatusChanged(agent=name, status="compacting", text="grüß 🐝"),
        turns.ModelChanged(agent=name, model=f"model-{number}"),
        turns.SessionLost(agent=name, expected="a", actual=f"session-{number}"),
        turns.LoginNeeded(agent=name, detail="no credentials"),
        turns.HarnessReported(agent=name, kind="weather", detail={"rain": [number, None, 0.5]}),
        turns.ToolServersFailed(agent=name, servers=("weather",)),
    )[number % 7]
    return reports.ReportFact(actor=actor_of_agent(name), agent=name, fact=fact)


def _turn_started(hive: Hive, name: str, number: int) -> Command:
    actor = actor_of_agent(name)
    if number % 2:
        return reports.ReportTurnStarted(actor=actor, agent=name, ids=_ids(hive, name, number))
    command = next(iter(hive.slash_commands.group(name).values()), None)
    return reports.ReportTurnStarted(actor=actor, agent=name, command=command.id if command else number)


def _ended(hive: Hive, name: str, number: int) -> Command:
    ended = turns.TurnEnded(
        agent=name,
        ok=number % 4 != 0,
        cost_usd=number / 7,
        input_tokens=number,
        session_id=f"session-{number}",
        error=None if number % 4 else "overloaded",
    )
    ack = _ids(hive, name, number) if ended.ok else ()
    return reports.ReportTurnEnded(actor=actor_of_agent(name), agent=name, ended=ended, ack=ack)


def _send(_hive: Hive, name: str, number: int) -> Command:
    actor = (OPERATOR, MANAGER, actor_of_agent("coder"))[number % 3]
    to = "operator" if number > 9 else name
    return messages.SendMessage(actor=actor, to=to, body=f"message {number}", id=f"c{number}" if number > 5 else None)


def _acknowledge(hive: Hive, name: str, number: int) -> Command:
    if number > 9:
        return messages.AcknowledgeMail(actor=OPERATOR, to="operator", ids=_ids(hive, "operator", number))
    return messages.AcknowledgeMail(actor=actor_of_agent(name), to=name, ids=_ids(hive, name, number))


def _requeue(hive: Hive, name: str, number: int) -> Command:
    parked = [row.id for row in hive.messages.group(name).values() if row.parked_at is not None]
    return messages.RequeueMessage(actor=OPERATOR, to=name, message=parked[0] if parked else number)


def _drop(hive: Hive, name: str, number: int) -> Command:
    parked = [row.id for row in hive.messages.group(name).values() if row.parked_at is not None]
    return messages.DropMessage(actor=OPERATOR, to=name, message=parked[-1] if parked else number)


def _answer(hive: Hive, name: str, number: int) -> Command:
    # What is not open any more counts as expired here; the facts do not care whether it was.
    expired = Question(
        id=number,
        asker=name,
        question="which?",
        asked_at=0,
        status=Status.EXPIRED,
        position=1,
        correlation=1,
    )
    closed = expired if number not in hive.questions and number < next_id(hive.sequences, QUESTION) else None
    return questions.AnswerQuestion(actor=OPERATOR, question=number, text="this one", closed=closed)


def _expire(hive: Hive, _name: str, number: int) -> Command:
    expiring = [row.id for row in hive.questions.values() if row.deadline_at is not None]
    return questions.ExpireQuestion(actor=DAEMON, question=expiring[0] if expiring else number)


def _forget(hive: Hive, _name: str, number: int) -> Command:
    # Somewhere in the past of a history, which goes on by a second with each batch of a few facts; or in its future.
    before = DAWN + hive.position * number * 20_000
    return retention.ForgetMessages(actor=DAEMON, before=before, count=number)


def _commit(number: int) -> str | None:
    return None if number == 0 else f"{number % 5:040x}"


def _pending(hive: Hive, number: int) -> int:
    waiting = [row.id for row in hive.approvals.values() if row.work is Work.DECIDE]
    return waiting[number % len(waiting)] if waiting else number


def _applied(hive: Hive, _name: str, number: int) -> Command:
    granted = [row.id for row in hive.approvals.values() if row.work is Work.APPLY]
    settings = AgentSettings(
        model=f"model-{number}",
        recipients=("manager", "operator") if number % 2 else None,
        environment=(("A", "grüß"),),
        mcp=(McpServer(name="weather", command="x", args=("a",), environment=(("B", "1"),)),),
        usd_per_day=0.5 if number % 3 else None,
    )
    error = "no git" if number % 5 == 4 else None
    return approvals.ReportApplied(
        actor=DAEMON, approval=granted[0] if granted else number, settings=None if error else settings, error=error
    )


MAKERS: dict[type[Command], Callable[[Hive, str, int], Command]] = {
    messages.SendMessage: _send,
    messages.TakeMail: lambda _, name, __: messages.TakeMail(actor=actor_of_agent(name), to=name),
    messages.AcknowledgeMail: _acknowledge,
    messages.RequeueMessage: _requeue,
    messages.DropMessage: _drop,
    agents.SpawnAgent: lambda _, name, __: agents.SpawnAgent(actor=OPERATOR, agent=name),
    agents.ReviveAgent: lambda _, name, __: agents.ReviveAgent(actor=OPERATOR, agent=name),
    agents.StartAgent: lambda _, name, __: agents.StartAgent(actor=OPERATOR, agent=name),
    agents.KillAgent: lambda _, name, number: agents.KillAgent(actor=OPERATOR, agent=name, graceful=number > 2),
    agents.RestartAgent: lambda _, name, __: agents.RestartAgent(actor=MANAGER, agent=name),
    agents.RebuildAgent: lambda _, name, __: agents.RebuildAgent(actor=OPERATOR, agent=name),
    agents.DestroyAgent: lambda _, name, number: agents.DestroyAgent(actor=OPERATOR, agent=name, purge=number % 2 == 0),
    agents.PurgeTombstone: lambda _, name, __: agents.PurgeTombstone(actor=OPERATOR, agent=name),
    agents.LiftQuarantine: lambda _, name, __: agents.LiftQuarantine(actor=OPERATOR, agent=name),
    agents.SetPaused: lambda _, name, number: agents.SetPaused(actor=OPERATOR, agent=name, paused=number % 3 == 0),
    agents.InterruptTurn: lambda _, name, __: agents.InterruptTurn(actor=OPERATOR, agent=name),
    agents.MoveAgent: lambda _, name, number: agents.MoveAgent(
        actor=OPERATOR, agent=name, runtime=("podman", "bubblewrap")[number % 2], here="bubblewrap"
    ),
    agents.ReportOutcome: _outcome,
    agents.ReportCrash: lambda hive, name, number: agents.ReportCrash(
        actor=DAEMON, agent=name, generation=_generation(hive, name), exit_status=number
    ),
    agents.ReportLoss: lambda hive, name, _: agents.ReportLoss(
        actor=DAEMON, agent=name, generation=_generation(hive, name)
    ),
    agents.ReportReaped: lambda _, name, __: agents.ReportReaped(actor=DAEMON, agent=name, reason="nobody's"),
    reports.ReportTurnStarted: _turn_started,
    reports.ReportTurnEnded: _ended,
    reports.ReportFact: _fact,
    approvals.RequestSpawn: lambda _, name, number: approvals.RequestSpawn(
        actor=(MANAGER, OPERATOR)[number % 2], agent=name, note=f"for {number}", commit=_commit(number)
    ),
    approvals.RequestApply: lambda _, name, number: approvals.RequestApply(
        actor=MANAGER,
        agent=name,
        note="better",
        commit=_commit(number + 1),
        blocked="too large" if number > 10 else None,
    ),
    approvals.RollBack: lambda _, name, number: approvals.RollBack(actor=OPERATOR, agent=name, commit=_commit(number)),
    approvals.Approve: lambda hive, _, number: approvals.Approve(actor=OPERATOR, approval=_pending(hive, number)),
    approvals.Deny: lambda hive, _, number: approvals.Deny(
        actor=OPERATOR, approval=_pending(hive, number), note="not now"
    ),
    approvals.ReportApplied: _applied,
    questions.AskQuestion: lambda _, name, number: questions.AskQuestion(
        actor=actor_of_agent(name),
        question="which?",
        options=("a", "b,c", '"')[:number],
        multi=number == 3,
        ttl_seconds=None if number % 2 else 60,
        agents_may_ask=True,
    ),
    questions.AnswerQuestion: _answer,
    questions.CancelQuestion: lambda _, __, number: questions.CancelQuestion(actor=OPERATOR, question=number),
    questions.ExpireQuestion: _expire,
    daemon.CreateHive: lambda *_: daemon.CreateHive(actor=DAEMON, hive="h1"),
    daemon.RecordDaemonStart: lambda *_: daemon.RecordDaemonStart(actor=DAEMON, release="1", runtime="process"),
    daemon.RecordDaemonStop: lambda *_: daemon.RecordDaemonStop(actor=DAEMON),
    daemon.RecordRestore: lambda hive, _, number: daemon.RecordRestore(
        actor=OPERATOR, epoch=f"e{number}", position=hive.position, head="00"
    ),
    retention.ForgetMessages: _forget,
    retention.ReportStreamsTrimmed: lambda _, name, number: retention.ReportStreamsTrimmed(
        actor=DAEMON, agents=(name,), events=number
    ),
    operators.AddOperator: lambda _, name, number: operators.AddOperator(
        actor=OPERATOR,
        name=f"{name}-{number % 3}",
        role="viewer" if number % 2 else "operator",
        key_hash=f"{number:064x}",
    ),
    operators.RemoveOperator: lambda _, name, number: operators.RemoveOperator(
        actor=OPERATOR, name=f"{name}-{number % 3}"
    ),
    egress.ReportEgressBlocked: lambda _, name, number: egress.ReportEgressBlocked(
        actor=DAEMON, blocked=EgressBlocked(agent=name, host=f"{number}.example.org", port=443, count=1 + number)
    ),
    sessions.ChooseModel: lambda _, name, number: sessions.ChooseModel(
        actor=OPERATOR, agent=name, model=f"model-{number}" if number % 3 else None
    ),
    sessions.GiveSlashCommand: lambda _, name, number: sessions.GiveSlashCommand(
        actor=OPERATOR, agent=name, text=f"/compact {number}"
    ),
    daemon.FreezeHive: lambda *_: daemon.FreezeHive(actor=OPERATOR),
    daemon.ThawHive: lambda *_: daemon.ThawHive(actor=OPERATOR),
}
"""How each command is made up. A command that is missing here makes a test fail, so that none is left out."""

OFTEN = (
    approvals.Approve,
    approvals.ReportApplied,
    agents.ReportOutcome,
    agents.SpawnAgent,
    messages.SendMessage,
    messages.TakeMail,
    reports.ReportTurnEnded,
)
"""What a history needs more of, so that it is not all refusals."""

steps = st.builds(
    Step,
    st.sampled_from([*MAKERS.values(), *(MAKERS[kind] for kind in OFTEN * 4)]),
    st.sampled_from(NAMES),
    st.integers(0, 12),
)

batches = st.lists(st.lists(steps, min_size=1, max_size=8), min_size=1, max_size=12)
"""Histories: what is given at the same moment is one batch."""


async def happen(desk: Desk, history: list[list[Step]]) -> None:
    """Give all commands, batch by batch; refusals are part of life."""
    for batch in history:
        desk.now += 1_000_000
        commands = [step.make(desk.hive, step.name, step.number) for step in batch]
        answers = await asyncio.gather(
            *(desk.dispatcher.dispatch(command) for command in commands),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, Refused):
                raise answer
