"""Deciding about a report of a container that is not the agent's any more."""

from __future__ import annotations

import attrs
import pytest

from hyperhive.commands.reports import Report, ReportFact, ReportTurnEnded, ReportTurnStarted, is_late
from hyperhive.events.agents import RestartRequested, RestartSucceeded
from hyperhive.events.envelope import actor_of_agent
from hyperhive.events.messages import MessageSent, MessagesHandedOver
from hyperhive.events.turns import HarnessStarted, StatusChanged, TurnEnded
from tests.language import given, running

CODER = actor_of_agent("coder")
RESTARTING = (*running("coder"), RestartRequested(agent="coder"))
RESTARTED = (*RESTARTING, RestartSucceeded(agent="coder", generation=2))
MAIL = (MessageSent(to="coder", sender="operator", body="do it"), MessagesHandedOver(to="coder", ids=(5,)))

REPORTS: dict[str, Report] = {
    "a turn that began": ReportTurnStarted(actor=CODER, agent="coder", ids=(5,)),
    "a turn that ended": ReportTurnEnded(actor=CODER, agent="coder", ended=TurnEnded(agent="coder", ok=True), ack=(5,)),
    "a status": ReportFact(actor=CODER, agent="coder", fact=StatusChanged(agent="coder", status="thinking")),
    "a harness that began": ReportFact(
        actor=CODER, agent="coder", fact=HarnessStarted(agent="coder", run="r1", version="1")
    ),
}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())
class TestGenerations:
    """Each kind of report, by the generation of the container that it comes from."""

    def test_older(self, report: Report) -> None:
        """What an older container's harness says changes nothing: its mail still waits for the present one."""
        late = attrs.evolve(report, generation=1)
        scene = given(*RESTARTED, *MAIL).when(late).then_nothing_happened()
        assert is_late(scene.hive, late)

    @pytest.mark.parametrize("generation", [2, 3, None])
    def test_present(self, report: Report, generation: int | None) -> None:
        """One of the present container counts; so does one that is just starting, and one that does not say."""
        outcome = given(*RESTARTED, *MAIL).when(attrs.evolve(report, generation=generation))
        assert isinstance(outcome.answer, tuple)
        assert outcome.answer
        assert not is_late(outcome.scene.hive, attrs.evolve(report, generation=generation))

    def test_last_words(self, report: Report) -> None:
        """While a restart is under way the container that ends is the present one: its last words count."""
        outcome = given(*RESTARTING, *MAIL).when(attrs.evolve(report, generation=1))
        assert isinstance(outcome.answer, tuple)
        assert outcome.answer


def test_agent_that_is_gone() -> None:
    """Of an agent that was purged no container is known, so none is older."""
    report = attrs.evolve(REPORTS["a status"], generation=1)
    assert not is_late(given().hive, report)
