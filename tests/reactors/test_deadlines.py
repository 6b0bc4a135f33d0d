"""The deadlines reactor, by hand-set clocks."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import attrs
import pytest

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Refused
from hyperhive.commands.questions import AnswerQuestion, AskQuestion, CancelQuestion, ExpireQuestion
from hyperhive.commands.resolving import resolve
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR
from hyperhive.events.log import Log, read, read_only
from hyperhive.events.questions import QuestionAnswered, QuestionAsked, QuestionCancelled, QuestionExpired
from hyperhive.projections import database
from hyperhive.projections.history import History
from hyperhive.reactors.deadlines import Deadlines

SECOND = 1_000_000
YEAR_SECONDS = 365 * 86_400


@attrs.define
class Clocks:
    """A wall clock that may jump and a boot clock that never does."""

    wall: int = 1_767_225_600 * SECOND
    boot: float = 1_000.0

    def pass_by(self, seconds: float) -> None:
        """Let time pass on both."""
        self.wall += round(seconds * SECOND)
        self.boot += seconds


class Stage:
    """A dispatcher on a real file, with clocks in the test's hand, that can be started anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clocks = Clocks()
        self.log: Log | None = None
        database.upgrade(path)
        self.restart()

    def restart(self) -> None:
        """Open the file anew, as a daemon does."""
        if self.log is not None:
            self.log.close()
        self.log, self.hive = database.open_hive(self.path)
        self.dispatcher = Dispatcher(self.log, self.hive, clock=lambda: self.clocks.wall, on_failure=_fail)
        self.deadlines = Deadlines(self.dispatcher, wall=lambda: self.clocks.wall, boot=lambda: self.clocks.boot)

    async def ask(self, ttl_seconds: int | None) -> int:
        """Ask something; return its number."""
        command = AskQuestion(actor=MANAGER, question="?", ttl_seconds=ttl_seconds)
        return int((await self.dispatcher.dispatch(command))[0].event.id)

    def endings(self) -> list[str]:
        """The types of all facts but the asking."""
        connection = read_only(self.path)
        try:
            return [fact.type for fact in read(connection) if fact.type != "QuestionAsked"]
        finally:
            connection.close()


def _fail(error: Exception) -> None:
    raise error


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage on an empty hive."""
    return Stage(tmp_path / "hive.sqlite")


def test_expires_at_the_deadline_and_not_before(stage: Stage) -> None:
    """A tick before the deadline says how long is left; one at the deadline expires the question, once."""

    async def play() -> None:
        await stage.ask(60)
        assert await stage.deadlines.tick() == pytest.approx(60)
        stage.clocks.pass_by(59.5)
        assert await stage.deadlines.tick() == pytest.approx(0.5)
        assert stage.endings() == []
        stage.clocks.pass_by(0.5)
        assert await stage.deadlines.tick() is None
        assert await stage.deadlines.tick() is None

    asyncio.run(play())
    assert stage.endings() == ["QuestionExpired"]


@pytest.mark.parametrize("jump_seconds", [YEAR_SECONDS, -YEAR_SECONDS])
def test_wall_clock_that_jumps_changes_nothing(stage: Stage, jump_seconds: int) -> None:
    """While a daemon runs the boot clock counts: a jump of a year neither hastens nor delays an expiry."""

    async def play() -> None:
        await stage.ask(60)
        await stage.deadlines.tick()
        stage.clocks.wall += jump_seconds * SECOND
        assert await stage.deadlines.tick() == pytest.approx(60)
        stage.clocks.pass_by(60)
        assert await stage.deadlines.tick() is None

    asyncio.run(play())
    assert stage.endings() == ["QuestionExpired"]


def test_deadline_that_passed_while_no_daemon_ran(stage: Stage) -> None:
    """It expires at the first tick of the next daemon, once."""

    async def play() -> None:
        await stage.ask(60)
        await stage.ask(3_600)
        stage.clocks.pass_by(300)
        stage.restart()
        assert await stage.deadlines.tick() == pytest.approx(3_300)
        stage.restart()
        await stage.deadlines.tick()

    asyncio.run(play())
    assert stage.endings() == ["QuestionExpired"]


@pytest.mark.parametrize(
    ("jump_seconds", "left_seconds"), [(YEAR_SECONDS, None), (-YEAR_SECONDS, YEAR_SECONDS + 60), (-30, 90)]
)
def test_wall_clock_that_jumps_over_a_restart(stage: Stage, jump_seconds: int, left_seconds: int | None) -> None:
    """Across a restart the wall clock is all there is: what it has passed has come, what it has not is waited for."""

    async def play() -> float | None:
        await stage.ask(60)
        await stage.deadlines.tick()
        stage.clocks.wall += jump_seconds * SECOND
        stage.clocks.boot = 5.0  # the machine was rebooted, too
        stage.restart()
        return await stage.deadlines.tick()

    left = asyncio.run(play())
    assert left == (None if left_seconds is None else pytest.approx(left_seconds))
    assert stage.endings() == (["QuestionExpired"] if left_seconds is None else [])


def test_machine_that_slept(stage: Stage) -> None:
    """What came due while the machine slept expires at the first look after, each question once; the rest waits."""

    async def play() -> None:
        for ttl in (60, 120, 3_600, None):
            await stage.ask(ttl)
        await stage.deadlines.tick()
        stage.clocks.pass_by(600)
        assert await stage.deadlines.tick() == pytest.approx(3_000)
        assert await stage.deadlines.tick() == pytest.approx(3_000)

    asyncio.run(play())
    assert stage.endings() == ["QuestionExpired"] * 2


def test_resolved_before_its_deadline(stage: Stage) -> None:
    """What is answered or cancelled in time has no deadline any more, and nothing follows when that passes."""

    async def play() -> None:
        first, second = await stage.ask(60), await stage.ask(90)
        await stage.deadlines.tick()
        await stage.dispatcher.dispatch(AnswerQuestion(actor=OPERATOR, question=first, text="yes"))
        assert await stage.deadlines.tick() == pytest.approx(90)
        await stage.dispatcher.dispatch(CancelQuestion(actor=OPERATOR, question=second))
        assert await stage.deadlines.tick() is None
        stage.clocks.pass_by(600)
        assert await stage.deadlines.tick() is None

    asyncio.run(play())
    assert stage.endings() == ["QuestionAnswered", "QuestionCancelled"]


def test_wakes_for_an_earlier_deadline(stage: Stage) -> None:
    """The loop sleeps to the earliest deadline, also one that is asked for while it sleeps."""

    async def play() -> None:
        stage.deadlines = Deadlines(stage.dispatcher, wall=lambda: stage.clocks.wall)
        await stage.ask(3_600)
        running = asyncio.create_task(stage.deadlines.run())
        expired = asyncio.Event()
        stage.dispatcher.listen(
            lambda facts: expired.set() if any(isinstance(f.event, QuestionExpired) for f in facts) else None
        )
        await stage.ask(1)
        await asyncio.wait_for(expired.wait(), 20)
        running.cancel()

    asyncio.run(play())
    assert stage.endings() == ["QuestionExpired"]


def test_one_ending_however_they_race(stage: Stage) -> None:
    """Ten thousand answers, cancels and expiries, interleaved at random: each question ends once, all are told how."""
    dice = random.Random(20260101)
    questions, rounds = 400, 10_000
    history = History(stage.path)
    refusals: list[str] = []

    async def play() -> None:
        for _ in range(questions // 20):
            numbers = [await stage.ask(ttl) for ttl in [dice.choice([5, 60]) for _ in range(20)]]
            acts = [dice.choice(["answer", "cancel", "expire", "tick"]) for _ in range(rounds * 20 // questions)]
            await asyncio.gather(*(act(kind, dice.choice(numbers)) for kind in acts))
            stage.clocks.pass_by(60)
            await stage.deadlines.tick()

    async def act(kind: str, number: int) -> None:
        for _ in range(dice.randrange(3)):
            await asyncio.sleep(0)
        try:
            match kind:
                case "answer":
                    await resolve(
                        stage.dispatcher, AnswerQuestion(actor=OPERATOR, question=number, text="x"), history.question
                    )
                case "cancel":
                    await resolve(stage.dispatcher, CancelQuestion(actor=OPERATOR, question=number), history.question)
                case "expire":
                    await stage.dispatcher.dispatch(ExpireQuestion(actor=DAEMON, question=number))
                case _:
                    stage.clocks.pass_by(1)
                    await stage.deadlines.tick()
        except Refused as refusal:
            refusals.append(str(refusal))

    asyncio.run(play())
    history.close()
    # Whoever comes second is told what came first.
    assert refusals
    assert all(" already: " in told for told in refusals)
    connection = read_only(stage.path)
    asked = [fact.event.id for fact in read(connection) if isinstance(fact.event, QuestionAsked)]
    endings = [
        fact.event.id
        for fact in read(connection)
        if isinstance(fact.event, QuestionAnswered | QuestionExpired | QuestionCancelled)
    ]
    connection.close()
    assert len(asked) == questions
    assert sorted(endings) == asked
