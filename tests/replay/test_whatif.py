"""The past decided anew: without some facts, or by another rule."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from hyperhive.commands.agents import KillAgent, ReportCrash, ReportOutcome, StartAgent
from hyperhive.commands.approvals import Approve, ReportApplied, RequestApply
from hyperhive.commands.errors import Refused
from hyperhive.commands.messages import SendMessage, TakeMail
from hyperhive.commands.questions import AnswerQuestion, AskQuestion
from hyperhive.commands.reports import ReportTurnEnded, ReportTurnStarted
from hyperhive.events import turns
from hyperhive.events.configurations import AgentSettings
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR, actor_of_agent
from hyperhive.replay.past import NotThere
from hyperhive.replay.whatif import Altered, BadRule, Kind, read_rules
from tests.commands.desk import Desk
from tests.projections.histories import Step, batches
from tests.replay.stories import SECOND, lived, opened

CODER = actor_of_agent("coder")


def crashes(path: Path, count: int) -> None:
    """Let coder crash so often, a minute apart, and be started again by the manager each time."""
    desk = Desk(path)

    async def happen() -> None:
        await desk.spawn("manager", "coder")
        for number in range(count):
            desk.now += 60 * SECOND
            generation = desk.hive.agents["coder"].generation
            await desk.dispatcher.dispatch(ReportCrash(actor=DAEMON, agent="coder", generation=generation))
            try:
                (asked,) = await desk.dispatcher.dispatch(StartAgent(actor=MANAGER, agent="coder"))
            except Refused:
                return
            assert number < count
            await desk.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=asked.position))

    asyncio.run(happen())
    desk.log.close()


def altered(path: Path, *rules: str, without: tuple[int, ...] = ()) -> Altered:
    """Decide a past anew."""
    with opened(path) as past:
        return past.what_if(read_rules(rules, without=without))


class TestQuarantine:
    """Another threshold."""

    def test_stricter(self, hive_db: Path) -> None:
        """With a lower one the manager's start would have been refused, and what followed from it would not be."""
        crashes(hive_db, 4)
        found = altered(hive_db, "quarantine.crashes=2")
        assert [(each.kind, each.words) for each in found.differences[:3]] == [
            (Kind.CHANGED, "coder crashed"),
            (Kind.REFUSED, "manager asked to start coder"),
            (Kind.GONE, "coder was started and runs"),
        ]
        assert found.differences[0].instead == ("coder crashed", "coder was quarantined: 2 crashes within 600 s")
        assert "only the operator can start it" in found.differences[1].reason
        assert found.differences[3].reason == "coder does not run then"
        assert "coder: crashed, generation 5 → 2, quarantined" in "\n".join(change.words for change in found.changes)
        assert any("people and the manager" in unknown for unknown in found.unknown)

    def test_more_patient(self, hive_db: Path) -> None:
        """With a higher one an agent that was quarantined would not have been; also above what the hive counts to."""
        crashes(hive_db, 5)
        assert altered(hive_db).counts == {}
        found = altered(hive_db, "quarantine.crashes=9")
        (only,) = found.differences
        assert only.instead == ("coder crashed",)
        assert next(change.words for change in found.changes) == "coder: out of quarantine"

    def test_shorter(self, hive_db: Path) -> None:
        """Within a shorter time there were fewer crashes."""
        crashes(hive_db, 5)
        assert [each.instead for each in altered(hive_db, "quarantine.seconds=100").differences] == [("coder crashed",)]

    def test_writes_nothing(self, hive_db: Path) -> None:
        """The log stays as it is."""
        crashes(hive_db, 5)
        before = hive_db.read_bytes()
        altered(hive_db, "quarantine.crashes=2")
        assert hive_db.read_bytes() == before


class TestWithout:
    """Facts left out."""

    def test_same_past(self, hive_db: Path) -> None:
        """Without anything altered nothing differs: the deciders come to what is on record."""
        crashes(hive_db, 5)
        found = altered(hive_db, "quarantine.crashes=5")
        assert (found.counts, found.changes, found.unknown) == ({}, (), ())

    @settings(max_examples=25, deadline=None)
    @given(history=batches)
    def test_any_past_is_the_same(self, migrated: Path, history: list[list[Step]]) -> None:
        """Whatever has happened: decided anew by the same rules, it is what it was."""
        with tempfile.TemporaryDirectory() as place:
            path = Path(shutil.copy(migrated, Path(place) / "hive.sqlite"))
            if lived(path, history):
                found = altered(path, "quarantine.crashes=5")
                assert (found.counts, found.changes) == ({}, ())

    def test_message(self, hive_db: Path) -> None:
        """Without a message its turn is gone, with what was done in it; and what a model says is not known."""
        desk = Desk(hive_db)
        at: dict[str, int] = {}

        async def happen() -> None:
            await desk.spawn("manager", "coder")
            for name in ("manager", "coder"):  # their kicks
                await _turn(desk, name)
            (sent,) = await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="manager", body="kill coder"))
            at["sent"] = sent.position
            await _turn(desk, "manager", KillAgent(actor=MANAGER, agent="coder"))

        asyncio.run(happen())
        desk.log.close()
        found = altered(hive_db, without=(at["sent"],))
        assert (found.first, found.differences[0].kind) == (at["sent"], Kind.REMOVED)
        gone = {each.words for each in found.differences if each.kind is Kind.GONE}
        assert {"manager asked to stop coder", f"manager began a turn on message {at['sent']}"} <= gone
        assert "coder: stopping ended" in [change.words for change in found.changes]
        assert any("what the models of manager would have answered" in unknown for unknown in found.unknown)

    def test_not_there(self, hive_db: Path) -> None:
        """An event that is not there is refused."""
        crashes(hive_db, 1)
        with pytest.raises(NotThere, match="no such events to leave out; the log has 1 to"):
            altered(hive_db, without=(999,))


class TestQuestions:
    """A question that would have ended otherwise."""

    @pytest.mark.parametrize("ending", ["cancelled", "expired"])
    def test_other_ending(self, hive_db: Path, ending: str) -> None:
        """It ends in the other way, and who asked reads that."""
        desk = Desk(hive_db)

        async def happen() -> None:
            await desk.spawn("manager")
            await desk.dispatcher.dispatch(AskQuestion(actor=MANAGER, question="really?", ttl_seconds=60))
            await desk.dispatcher.dispatch(AskQuestion(actor=MANAGER, question="and then?"))
            for number in (1, 2):
                await desk.dispatcher.dispatch(AnswerQuestion(actor=OPERATOR, question=number, text="yes"))

        asyncio.run(happen())
        desk.log.close()
        found = altered(hive_db, f"question:1={ending}")
        (only,) = found.differences
        assert (only.kind, only.words) == (Kind.CHANGED, "operator answered question 1 of manager: “yes”")
        assert ending in only.instead[0]

    def test_never_asked(self, hive_db: Path) -> None:
        """A question that the log does not have is refused."""
        crashes(hive_db, 1)
        with pytest.raises(NotThere, match="nothing has happened to question 7"):
            altered(hive_db, "question:7=cancelled")


NO_QUARANTINE = ("quarantine.crashes", "quarantine.crashes=0", "quarantine.crashes=21", "quarantine.seconds=x")


class TestApprovals:
    """An approval that would have been denied, and a budget that would have been smaller."""

    def lived(self, path: Path) -> Desk:
        """Let the manager ask for a configuration of coder, which is applied and rebuilt; then let coder have turns."""
        desk = Desk(path)

        async def happen() -> None:
            give = desk.dispatcher.dispatch
            await desk.spawn("manager", "coder")
            await give(RequestApply(actor=MANAGER, agent="coder", note="faster", commit="a" * 40))
            (granted,) = await give(Approve(actor=OPERATOR, approval=1))
            settings = AgentSettings(usd_per_day=5.0)
            cause = granted.cause
            _, asked = await give(ReportApplied(actor=DAEMON, approval=1, settings=settings, cause=cause))
            await give(ReportOutcome(actor=DAEMON, agent="coder", intent=asked.position, cause=asked.cause))
            for _ in range(3):
                await give(SendMessage(actor=OPERATOR, to="coder", body="go on"))
                await _turn(desk, "coder", cost=1.0)

        asyncio.run(happen())
        desk.log.close()
        return desk

    def test_denied(self, hive_db: Path) -> None:
        """Nothing would have been applied, so nothing rebuilt; coder would run what it ran before."""
        self.lived(hive_db)
        found = altered(hive_db, "approval:1=denied")
        first, *later = found.differences
        assert (first.kind, first.words) == (
            Kind.CHANGED,
            "operator approved 1: apply commit coder aaaaaaaaaaaa",
        )
        assert first.instead == ("operator denied 1: apply commit coder",)
        gone = {each.words for each in later if each.kind is Kind.GONE}
        assert "coder is configured by aaaaaaaaaaaa now; daemon asked to rebuild coder" in gone
        assert "coder was rebuilt and runs" in gone
        assert "deployed sha aaaaaaaaaaaa → none" in "; ".join(change.words for change in found.changes)

    def test_budget(self, hive_db: Path) -> None:
        """With a budget of two dollars a day the third turn would not have begun."""
        self.lived(hive_db)
        assert altered(hive_db, "budget:coder=5").counts == {}
        found = altered(hive_db, "budget:coder=2")
        assert [each.kind for each in found.differences] == [Kind.CHANGED, *[Kind.GONE] * 3]
        assert "coder has spent its day's budget: $2.0000 of $2" in found.differences[0].instead
        assert any("what the models of coder would have answered" in unknown for unknown in found.unknown)

    def test_no_configuration(self, hive_db: Path) -> None:
        """An agent without a configuration has no budget to alter."""
        crashes(hive_db, 1)
        with pytest.raises(NotThere, match="nothing has happened to configuration coder"):
            altered(hive_db, "budget:coder=2")


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "budget=5",
        *NO_QUARANTINE,
        "question:1=answered",
        "question:=cancelled",
        "approval:3=granted",
        "budget:coder=-1",
        "budget:=3",
    ],
)
def test_rules_that_there_are_not(rule: str) -> None:
    """A rule that there is not is refused with what there is, or with what would be right."""
    with pytest.raises(BadRule, match=r"there are: quarantine\.crashes=N|would be right"):
        read_rules([rule])


async def _turn(desk: Desk, name: str, *acts: KillAgent, cost: float = 0.0) -> None:
    actor = actor_of_agent(name)
    (taken, *_) = await desk.dispatcher.dispatch(TakeMail(actor=actor, to=name))
    ids = taken.event.ids
    await desk.dispatcher.dispatch(ReportTurnStarted(actor=actor, agent=name, ids=ids))
    for act in acts:
        await desk.dispatcher.dispatch(act)
    ended = turns.TurnEnded(agent=name, ok=True, cost_usd=cost)
    await desk.dispatcher.dispatch(ReportTurnEnded(actor=actor, agent=name, ended=ended, ack=ids))
