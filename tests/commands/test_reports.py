"""Deciding about what a harness reports."""

from __future__ import annotations

import pytest

from hyperhive.commands.messages import SendMessage
from hyperhive.commands.reports import ReportFact, ReportTurnEnded, ReportTurnStarted
from hyperhive.events.agents import (
    ContainerCrashed,
    ContainerLost,
    DestroyFailed,
    DestroyRequested,
    DestroySucceeded,
    KillFailed,
    KillRequested,
    KillSucceeded,
    RestartFailed,
    RestartRequested,
    SpawnRequested,
)
from hyperhive.events.envelope import Cause, Fact, actor_of_agent
from hyperhive.events.messages import MessagesAcknowledged, MessageSent, MessagesHandedOver
from hyperhive.events.turns import (
    HarnessReported,
    HarnessStarted,
    LoginNeeded,
    ModelChanged,
    SessionLost,
    StatusChanged,
    TurnEnded,
    TurnStarted,
)
from tests.language import given, running

CODER = actor_of_agent("coder")
HIVE = (SpawnRequested(agent="coder"), SpawnRequested(agent="reviewer"))
MAIL = (MessageSent(to="coder", sender="operator", body="do it"), MessagesHandedOver(to="coder", ids=(3,)))
TURN = TurnStarted(agent="coder", ids=(3,))
ENDED = TurnEnded(agent="coder", ok=True, cost_usd=0.25, input_tokens=100, output_tokens=20, session_id="s-1")


class TestTurns:
    """A turn and its mail."""

    def test_begins_because_of_its_mail(self) -> None:
        """A turn follows from the newest of its messages."""
        report = ReportTurnStarted(actor=CODER, agent="coder", ids=(3,))
        outcome = given(*HIVE, *MAIL).when(report).then_caused_by(Cause(causation=3, correlation=3))
        assert outcome.then(TURN).hive.sessions["coder"].status == "thinking"

    def test_begins_of_itself(self) -> None:
        """A turn without mail, or on mail that is gone, begins a chain of its own."""
        given(*HIVE).when(ReportTurnStarted(actor=CODER, agent="coder")).then_caused_by(None)
        given(*HIVE).when(ReportTurnStarted(actor=CODER, agent="coder", ids=(99,))).then_caused_by(None)

    def test_causes_what_the_agent_does(self) -> None:
        """What an agent does while its turn runs follows from the turn, in the chain of the turn's mail."""
        scene = given(*HIVE, *MAIL).when(ReportTurnStarted(actor=CODER, agent="coder", ids=(3,))).then(TURN)
        turn = scene.position
        send = SendMessage(actor=CODER, to="reviewer", body="look")
        scene.when(send).then_caused_by(Cause(causation=turn, correlation=3))
        ended = scene.when(ReportTurnEnded(actor=CODER, agent="coder", ended=ENDED)).then(ENDED)
        ended.when(send).then_caused_by(None)

    def test_named_cause_comes_first(self) -> None:
        """A command that says why it is given is believed."""
        scene = given(*HIVE, *MAIL, TURN)
        send = SendMessage(actor=CODER, to="reviewer", body="look", cause=Cause(causation=1, correlation=1))
        scene.when(send).then_caused_by(Cause(causation=1, correlation=1))

    def test_end_delivers_its_mail(self) -> None:
        """The end of a turn and the delivery of its mail are one moment."""
        report = ReportTurnEnded(actor=CODER, agent="coder", ended=ENDED, ack=(3,))
        scene = given(*HIVE, *MAIL, TURN).when(report).then(ENDED, MessagesAcknowledged(to="coder", ids=(3,)))
        assert not scene.hive.messages.group("coder")

    def test_failed_turn_keeps_its_mail(self) -> None:
        """A turn that failed acknowledges nothing and keeps its error on the row."""
        failed = TurnEnded(agent="coder", ok=False, error="529 overloaded", error_kind="api")
        scene = given(*HIVE, *MAIL, TURN).when(ReportTurnEnded(actor=CODER, agent="coder", ended=failed)).then(failed)
        row = scene.hive.sessions["coder"]
        assert (row.turns, row.failed_turns, row.error) == (1, 1, "529 overloaded")
        assert scene.hive.messages.group("coder")

    def test_totals(self) -> None:
        """Cost and tokens of all turns add up; the session id and the absence of an error are the newest turn's."""
        failed = TurnEnded(agent="coder", ok=False, cost_usd=0.5, input_tokens=1, error="x")
        row = given(*HIVE, failed, ENDED).hive.sessions["coder"]
        assert (row.turns, row.failed_turns, row.cost_usd, row.input_tokens) == (2, 1, 0.75, 101)
        assert (row.session_id, row.error, row.turn) == ("s-1", None, None)


class TestFacts:
    """Reports that may say nothing new."""

    @pytest.mark.parametrize(
        "fact",
        [
            StatusChanged(agent="coder", status="waiting"),
            StatusChanged(agent="coder", status="thinking", text="reading"),
            ModelChanged(agent="coder", model="claude-x"),
            LoginNeeded(agent="coder", detail="no credentials"),
        ],
        ids=lambda fact: type(fact).__name__,
    )
    def test_known_already(self, fact: Fact) -> None:
        """The same status, model or lack of a login reported again is no fact."""
        report = ReportFact(actor=CODER, agent="coder", fact=fact)
        given(*HIVE).when(report).then(fact).when(report).then_nothing_happened()

    @pytest.mark.parametrize(
        "fact",
        [
            HarnessStarted(agent="coder", run="r-1", version="1"),
            SessionLost(agent="coder", expected="s-1", actual="s-2"),
            HarnessReported(agent="coder", kind="weather", detail={"rain": True}),
        ],
        ids=lambda fact: type(fact).__name__,
    )
    def test_always_new(self, fact: Fact) -> None:
        """A harness that starts, a session that is lost and an unknown kind are facts each time."""
        report = ReportFact(actor=CODER, agent="coder", fact=fact)
        given(*HIVE).when(report).then(fact).when(report).then(fact)

    def test_status_is_compared_with_its_text(self) -> None:
        """Another text is another status, and an agent that never reported is idle."""
        scene = given(*HIVE, StatusChanged(agent="coder", status="thinking", text="reading"))
        other = StatusChanged(agent="coder", status="thinking", text="writing")
        scene.when(ReportFact(actor=CODER, agent="coder", fact=other)).then(other)
        idle = StatusChanged(agent="coder", status="idle")
        given(*HIVE).when(ReportFact(actor=CODER, agent="coder", fact=idle)).then_nothing_happened()

    def test_login_is_needed_until_a_turn_succeeds(self) -> None:
        """A turn that succeeds shows that there is a login again."""
        scene = given(*HIVE, LoginNeeded(agent="coder"))
        assert scene.hive.sessions["coder"].needs_login
        assert scene.given(TurnEnded(agent="coder", ok=False)).hive.sessions["coder"].needs_login
        assert not scene.given(ENDED).hive.sessions["coder"].needs_login

    def test_lost_session(self) -> None:
        """After a session was lost the row has the one that began in its place."""
        scene = given(*HIVE, ENDED, SessionLost(agent="coder", expected="s-1", actual="s-2"))
        assert scene.hive.sessions["coder"].session_id == "s-2"


class TestSilence:
    """A container that stopped has no turn any more."""

    BUSY = (*running("coder"), HarnessStarted(agent="coder", run="r-1", version="1"), TurnStarted(agent="coder"))

    @pytest.mark.parametrize(
        "facts",
        [
            (KillRequested(agent="coder"), KillSucceeded(agent="coder")),
            (KillRequested(agent="coder"), KillFailed(agent="coder", error="x", running=False)),
            (RestartRequested(agent="coder"), RestartFailed(agent="coder", error="x", running=False)),
            (DestroyRequested(agent="coder"), DestroySucceeded(agent="coder")),
            (ContainerCrashed(agent="coder", generation=1),),
            (ContainerLost(agent="coder", generation=1),),
        ],
        ids=lambda facts: type(facts[-1]).__name__,
    )
    def test_stopped(self, facts: tuple[Fact, ...]) -> None:
        """Whatever stopped it, its turn is over, and what comes after has another cause."""
        row = given(*self.BUSY, *facts).hive.sessions["coder"]
        assert (row.turn, row.run, row.status) == (None, None, "idle")

    @pytest.mark.parametrize("failed", [KillFailed, DestroyFailed])
    def test_still_running(self, failed: type) -> None:
        """A stop that failed and left the container running leaves its turn, too."""
        row = given(*self.BUSY, failed(agent="coder", error="x", running=True)).hive.sessions["coder"]
        assert (row.turn, row.run, row.status) == (4, "r-1", "thinking")

    def test_purged(self) -> None:
        """A purge takes the session with it."""
        purged = (DestroyRequested(agent="coder", purge=True), DestroySucceeded(agent="coder", purge=True))
        assert "coder" not in given(*self.BUSY, *purged).hive.sessions
