"""Facts in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from hyperhive.events import agents, approvals, hive, messages, questions, turns
from hyperhive.events.codec import TYPES
from hyperhive.events.configurations import AgentSettings
from hyperhive.events.envelope import Recorded
from hyperhive.projections.sentences import QUOTED_CHARACTERS, TELLERS, Kind, Sentence, sentence

AT = 1_767_225_600_000_000


def told(event: object, actor: str = "daemon") -> Sentence:
    """Say one fact."""
    return sentence(Recorded(1, getattr(event, "stream", ""), 1, type(event).__name__, AT, actor, 1, None, event))


def test_none_is_forgotten() -> None:
    """Every fact that the log may hold has a sentence, and no sentence is for a fact that there is not."""
    assert set(TELLERS) == set(TYPES.values())


SAMPLES: dict[str, Any] = {
    "agent": "coder",
    "generation": 1,
    "error": "exit 1",
    "crashes": 5,
    "within_seconds": 600,
    "reason": "nobody's",
    "to": "coder",
    "sender": "manager",
    "body": "hello",
    "ids": (1, 2),
    "id": 7,
    "asker": "manager",
    "question": "which?",
    "answer": "this",
    "hive": "h",
    "release": "1",
    "runtime": "process",
    "before": 1,
    "count": 3,
    "agents": ("coder",),
    "events": 9,
    "epoch": "e",
    "position": 4,
    "head": "00",
    "run": "r",
    "approval": 4,
    "requester": "manager",
    "note": "please",
    "commit": "9d41e7a" + "0" * 33,
    "base": None,
    "by": 5,
    "failed": "3b08c55" + "0" * 33,
    "settings": AgentSettings(),
    "builds": True,
    "servers": ("browser",),
    "usd_per_day": 1.0,
    "spent_usd": 1.2,
    "operator": "anna",
    "role": "viewer",
    "key_hash": "00",
    "version": "1",
    "ok": True,
    "status": "idle",
    "model": "opus",
    "expected": "a",
    "actual": "b",
    "kind": "weather",
}
"""A value for each field that a fact must be given; those that are not here have one of their own."""


def made(kind: type[Any]) -> object:
    """Make a fact of a class with nothing but what it must have."""
    needed = [field.name for field in attrs.fields(kind) if field.default is attrs.NOTHING]
    values = {name: SAMPLES.get(name, "x") for name in needed}
    if issubclass(kind, approvals.ApprovalFact):
        values["kind"] = approvals.Kind.APPLY_COMMIT
    return kind(**values)


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_reads_as_a_sentence(kind: type) -> None:
    """Whoever did it: one line, no double spaces, lower case at the beginning, no full stop."""
    for actor in ("daemon", "operator", "operator:anna", "manager", "agent:coder"):
        text = told(made(kind), actor).text
        assert text == " ".join(text.split())
        assert text[0] == text[0].lower()
        assert not text.endswith((".", ":", ","))
        assert "None" not in text


def samples() -> Iterator[tuple[object, str, str]]:
    """Yield facts, actors and what people read."""
    yield agents.RestartRequested(agent="tester"), "manager", "manager asked to restart tester"
    yield agents.RebuildRequested(agent="coder"), "daemon", "coder rebuild began"
    yield agents.DestroyRequested(agent="mole", purge=True), "operator", "operator asked to destroy mole and purge it"
    yield agents.DestroySucceeded(agent="gardener"), "daemon", "gardener destroyed, notes kept"
    yield agents.DestroySucceeded(agent="gardener", purge=True), "daemon", "gardener purged, nothing kept"
    yield agents.ContainerCrashed(agent="mender", generation=1, exit_status=137), "daemon", "mender crashed, exit 137"
    yield agents.ContainerCrashed(agent="mender", generation=1, exit_status=-9), "daemon", "mender crashed, signal 9"
    yield agents.ContainerCrashed(agent="mender", generation=1), "daemon", "mender crashed"
    yield agents.AgentPaused(agent="coder"), "operator:anna", "anna paused coder"
    yield turns.TurnStarted(agent="coder", ids=(4,)), "agent:coder", "coder began a turn, 1 mail"
    yield turns.TurnEnded(agent="coder", ok=True, cost_usd=0.214), "agent:coder", "coder ended a turn, ok, $0.21"
    yield turns.TurnEnded(agent="coder", ok=False, error="no api"), "agent:coder", "coder turn failed: no api"
    yield turns.StatusChanged(agent="coder", status="thinking", text="a  b\nc"), "agent:coder", "coder says: a b c"
    yield messages.MessageSent(to="operator", sender="manager", body="x"), "manager", "manager wrote to you"
    yield messages.MessageSent(to="coder", sender="operator", body="x"), "operator:anna", "anna wrote to coder"
    asked: dict[str, Any] = {"id": 31, "asker": "manager", "question": "q"}
    yield (
        questions.QuestionAsked(**asked, deadline_at=AT + 240_000_000),
        "manager",
        "manager asked q31, 4m 00s to answer",
    )
    yield questions.QuestionAsked(**asked), "manager", "manager asked q31"
    yield questions.QuestionAnswered(**asked, answer="yes"), "operator", "operator answered q31: “yes”"
    wanted: dict[str, Any] = {"id": 43, "agent": "coder", "requester": "manager"}
    commit = "9d41e7a" + "0" * 33
    apply: dict[str, Any] = {**wanted, "kind": approvals.Kind.APPLY_COMMIT, "commit": commit}
    yield approvals.ApprovalRequested(**apply, note=""), "manager", "manager asked for #43, apply 9d41e7a to coder"
    spawn: dict[str, Any] = {**wanted, "kind": approvals.Kind.SPAWN}
    yield approvals.ApprovalGranted(**spawn), "operator", "operator approved #43, spawn coder"
    yield (
        approvals.ApprovalDenied(**spawn, note="not on a weekend"),
        "operator",
        "operator denied #43: “not on a weekend”",
    )
    yield approvals.ApprovalSuperseded(**spawn, by=44), "manager", "#43 superseded by #44"
    yield hive.MessagesForgotten(before=1, count=14), "daemon", "14 old messages swept"


@pytest.mark.parametrize(("event", "actor", "text"), [*samples()])
def test_words(event: object, actor: str, text: str) -> None:
    """The act is named by its verb, agents by bare name, people by theirs."""
    assert told(event, actor).text == text


def test_names_are_marked() -> None:
    """Names and references are words of their own, so that a page can show them so."""
    words = told(messages.MessageRequeued(to="coder", id=9), "operator").words
    assert [(word.text, word.kind) for word in words if word.kind] == [("9", Kind.REF), ("coder", Kind.NAME)]


def test_what_went_wrong_is_marked() -> None:
    """A crash is bad news, a restart is not."""
    assert told(agents.ContainerCrashed(agent="coder", generation=1)).bad
    assert not told(agents.RestartSucceeded(agent="coder", generation=2)).bad


def test_long_words_of_agents() -> None:
    """What an agent wrote is shown with its beginning, on one line; the fact has it whole."""
    said = told(turns.StatusChanged(agent="coder", status="thinking", text="word " * 100_000), "agent:coder").text
    assert said.endswith("word…")
    assert len(said) <= len("coder says: ") + QUOTED_CHARACTERS
