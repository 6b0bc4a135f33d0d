"""A shift in a hive of three, for whoever looks back at it: what waited then, what ended since, what crashed when."""

from __future__ import annotations

from typing import Any

from hyperhive.events import agents, approvals, hive, messages, questions, turns
from hyperhive.events.approvals import Kind
from hyperhive.events.envelope import MANAGER, OPERATOR, actor_of_agent
from tests.web.staged import Told

MINUTE, HOUR = 60.0, 3_600.0
CODER = actor_of_agent("coder")
BEFORE_CODER, ASKED, CRASHED, AGAIN = 4, 13, 17, 23
"""Positions: before coder was there, when both asks waited, and of its two crashes."""


def shift() -> list[Told]:
    """Return the facts, oldest first; their positions count from 1."""
    spawn: dict[str, Any] = {"id": 1, "kind": Kind.SPAWN, "agent": "reviewer", "requester": "manager"}
    other: dict[str, Any] = {"id": 2, "kind": Kind.SPAWN, "agent": "poet", "requester": "manager"}
    asked: dict[str, Any] = {
        "id": 1,
        "asker": "manager",
        "question": "may scribe post the changelog to the forum itself?",
    }
    return [
        Told(20 * HOUR, hive.HiveCreated(hive="h1")),  # 1
        Told(20 * HOUR - 1, hive.DaemonStarted(release="0.1.0", runtime="process")),
        Told(20 * HOUR - 2, agents.SpawnRequested(agent="manager"), OPERATOR),
        Told(20 * HOUR - 9, agents.SpawnSucceeded(agent="manager", generation=1)),
        Told(18 * HOUR, agents.SpawnRequested(agent="coder"), MANAGER),  # 5
        Told(18 * HOUR - 8, agents.SpawnSucceeded(agent="coder", generation=1)),
        Told(17 * HOUR, turns.ModelChanged(agent="coder", model="sonnet"), CODER),
        Told(16 * HOUR, turns.StatusChanged(agent="coder", status="thinking", text="reading the ports"), CODER),
        Told(15 * HOUR, messages.MessageSent(to="operator", sender="coder", body="the ports are read"), CODER),
        Told(14 * HOUR, messages.MessageSent(to="coder", sender="manager", body="halve the test time"), MANAGER),  # 10
        Told(12 * HOUR, questions.QuestionAsked(**asked, options=("yes", "no")), MANAGER),
        Told(11 * HOUR, approvals.ApprovalRequested(**spawn, note="a second pair of eyes"), MANAGER),
        Told(10.5 * HOUR, messages.MessageSent(to="operator", sender="manager", body="two asks wait"), MANAGER),
        Told(10 * HOUR, questions.QuestionAnswered(**asked, answer="after i have read it"), OPERATOR),
        Told(9 * HOUR, approvals.ApprovalGranted(**spawn, note="fine for today"), OPERATOR),  # 15
        Told(8 * HOUR, turns.TurnStarted(agent="coder", ids=(10,)), CODER),
        Told(7 * HOUR, agents.ContainerCrashed(agent="coder", generation=1, exit_status=137)),
        Told(7 * HOUR - 30, agents.StartRequested(agent="coder"), MANAGER),
        Told(7 * HOUR - 35, agents.StartSucceeded(agent="coder", generation=2)),
        Told(5 * HOUR, approvals.ApprovalRequested(**other, note="verses for the notes"), MANAGER),  # 20
        Told(4 * HOUR, approvals.ApprovalDenied(**other, note="not today"), OPERATOR),
        Told(3 * HOUR, turns.StatusChanged(agent="coder", status="thinking", text="the tests once more"), CODER),
        Told(2 * HOUR, agents.ContainerCrashed(agent="coder", generation=2, exit_status=1)),
        Told(HOUR, agents.StartRequested(agent="coder"), OPERATOR),
        Told(HOUR - 9, agents.StartSucceeded(agent="coder", generation=3)),  # 25
        Told(20 * MINUTE, turns.StatusChanged(agent="coder", status="idle"), CODER),
    ]
