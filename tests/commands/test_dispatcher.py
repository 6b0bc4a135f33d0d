"""The dispatcher: every command is decided once, in order, and answered when it is durable."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.commands.agents import KillAgent, ReportOutcome, SpawnAgent, StartAgent
from hyperhive.commands.asks import Answer
from hyperhive.commands.dispatcher import BATCH_MAX
from hyperhive.commands.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from hyperhive.commands.messages import AcknowledgeMail, SendMessage, TakeMail
from hyperhive.commands.questions import AnswerQuestion, AskQuestion
from hyperhive.commands.reports import ReportTurnEnded
from hyperhive.commands.resolving import resolve
from hyperhive.events import chain
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR, Recorded, actor_of_agent
from hyperhive.events.log import LogFailed, read, read_only
from hyperhive.events.messages import MessagesHandedOver
from hyperhive.events.turns import TurnEnded
from hyperhive.projections import mirror
from hyperhive.projections.history import History
from tests.commands.desk import Desk, run
from tests.commands.sender import WRITERS
from tests.language import DAWN

CODER = actor_of_agent("coder")


@pytest.fixture
def desk(hive_db: Path) -> Desk:
    """Return a dispatcher of an empty hive."""
    return Desk(hive_db)


def send(body: str = "hi", *, to: str = "coder", id: str | None = None) -> SendMessage:  # noqa: A002 - as the field
    """Return the operator's wish to write."""
    return SendMessage(actor=OPERATOR, to=to, body=body, id=id)


def recv(desk: Desk, *, seconds: float = 5.0, name: str = "coder") -> asyncio.Task[Answer]:
    """Begin to wait for an agent's mail."""
    command = TakeMail(actor=actor_of_agent(name), to=name)
    return asyncio.create_task(desk.dispatcher.wait(command, topics=(("messages", name),), seconds=seconds))


async def drain(desk: Desk, name: str = "coder") -> None:
    """Take and acknowledge all mail of an agent, the kick of its start."""
    actor = actor_of_agent(name)
    taken = await desk.dispatcher.dispatch(TakeMail(actor=actor, to=name))
    await desk.dispatcher.dispatch(AcknowledgeMail(actor=actor, to=name, ids=taken[0].event.ids))


async def parked() -> None:
    """Let the loop turn until every command that was given is decided or parked."""
    for _ in range(5):
        await asyncio.sleep(0)


class TestGroupCommit:
    """What waits together is made durable together."""

    def test_many_at_once(self, desk: Desk) -> None:
        """Fifty commands that wait at the same moment cost one commit, and each gets its own answer."""

        async def story() -> None:
            await desk.spawn("coder")
            before = desk.commits
            answers = await asyncio.gather(*(desk.dispatcher.dispatch(send(str(number))) for number in range(50)))
            assert desk.commits - before == 1
            assert [fact.event.body for (fact,) in answers] == [str(number) for number in range(50)]
            positions = [fact.position for (fact,) in answers]
            assert positions == list(range(positions[0], positions[0] + 50))

        run(story())

    def test_one_after_the_other(self, desk: Desk) -> None:
        """A command that waits for the answer of the one before has a commit of its own."""

        async def story() -> None:
            await desk.spawn("coder")
            before = desk.commits
            for _ in range(3):
                await desk.dispatcher.dispatch(send())
            assert desk.commits - before == 3

        run(story())

    def test_batches_have_an_end(self, desk: Desk) -> None:
        """A flood is cut into batches, so that the first of it need not wait for the last; the order stays."""

        async def story() -> None:
            await desk.spawn("coder")
            before = desk.commits
            flood = [desk.dispatcher.dispatch(send(str(number))) for number in range(2 * BATCH_MAX + 1)]
            heard: list[int] = []
            flood[0].add_done_callback(lambda _: heard.append(desk.commits - before))
            answers = await asyncio.gather(*flood)
            assert heard == [1], "the first caller hears its answer before the second batch is decided"
            assert desk.commits - before == 3
            assert [fact.event.body for (fact,) in answers] == [str(number) for number in range(len(flood))]

        run(story())

    def test_one_batch_has_one_past(self, desk: Desk) -> None:
        """Commands of one batch see each other: the second spawn is a second click, and mail to the new agent goes."""

        async def story() -> None:
            first, second, mail = await asyncio.gather(
                desk.dispatcher.dispatch(SpawnAgent(actor=OPERATOR, agent="coder")),
                desk.dispatcher.dispatch(SpawnAgent(actor=OPERATOR, agent="coder")),
                desk.dispatcher.dispatch(send()),
            )
            assert [len(first), len(second), len(mail)] == [1, 0, 1]
            assert desk.commits == 1

        run(story())

    def test_nothing_to_write(self, desk: Desk) -> None:
        """Commands without a consequence cost no commit."""

        async def story() -> None:
            assert await desk.dispatcher.dispatch(TakeMail(actor=CODER, to="coder")) == ()
            with pytest.raises(NotFound):
                await desk.dispatcher.dispatch(send())
            assert desk.commits == 0

        run(story())

    def test_time_comes_from_the_clock(self, desk: Desk) -> None:
        """A command without a time gets the clock's, one with a time keeps it."""

        async def story() -> None:
            await desk.spawn("coder")
            desk.now = DAWN + 5
            (now,) = await desk.dispatcher.dispatch(send())
            (then,) = await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="coder", body="x", at=77))
            assert (now.at, then.at) == (DAWN + 5, 77)

        run(story())


class TestAnswers:
    """When an answer is given."""

    def test_after_the_commit(self, desk: Desk) -> None:
        """Neither facts nor refusals are told before the batch that they were decided in is durable."""
        told_early: list[bool] = []

        async def story() -> None:
            await desk.spawn("coder")
            sent, refused = desk.dispatcher.dispatch(send()), desk.dispatcher.dispatch(send(to="nobody"))
            desk.log.connection.set_trace_callback(
                lambda sql: told_early.append(sent.done() or refused.done()) if sql == "COMMIT" else None,
            )
            await sent
            with pytest.raises(NotFound):
                await refused

        run(story())
        assert told_early == [False]

    def test_durable_when_told(self, desk: Desk) -> None:
        """Whoever has an answer finds its facts in the file, through any other connection."""

        async def story() -> None:
            await desk.spawn("coder")
            answer = await desk.dispatcher.dispatch(send())
            found = list(read(read_only(desk.path), after=answer[0].position - 1))
            assert found == list(answer)

        run(story())

    def test_gone_caller(self, desk: Desk) -> None:
        """A command whose caller has gone before it was decided is not carried out."""

        async def story() -> None:
            await desk.spawn("coder")
            gone, stays = desk.dispatcher.dispatch(send("gone")), desk.dispatcher.dispatch(send("stays"))
            gone.cancel()
            await stays
            assert [row.body for row in desk.hive.messages.group("coder").values()][1:] == ["stays"]

        run(story())

    def test_one_refusal_is_one_caller_s(self, desk: Desk) -> None:
        """What is refused, or cannot be kept by the log, harms nothing else in its batch."""

        async def story() -> None:
            await desk.spawn("coder")
            poison = ReportTurnEnded(
                actor=CODER,
                agent="coder",
                ended=TurnEnded(agent="coder", ok=True, cost_usd=float("inf")),
            )
            before = desk.commits
            answers = await asyncio.gather(
                desk.dispatcher.dispatch(send("a")),
                desk.dispatcher.dispatch(poison),
                desk.dispatcher.dispatch(KillAgent(actor=CODER, agent="coder")),
                desk.dispatcher.dispatch(send("half \ud83d")),
                desk.dispatcher.dispatch(send("b")),
                return_exceptions=True,
            )
            kinds = [type(answer) for answer in answers]
            assert kinds == [tuple, Invalid, Forbidden, UnicodeEncodeError, tuple]
            assert "the log cannot keep" in str(answers[1])
            assert desk.commits - before == 1
            assert desk.failures == []
            assert desk.hive.rows == desk.loaded().rows

        run(story())


class TestCommandIds:
    """The same id with the same payload: the first answer again."""

    def test_in_the_same_batch(self, desk: Desk) -> None:
        """Given twice at the same moment, a command happens once and both callers get its facts."""

        async def story() -> None:
            await desk.spawn("coder")
            first, second = await asyncio.gather(*(desk.dispatcher.dispatch(send(id="c1")) for _ in range(2)))
            assert first == second
            assert len(first) == 1
            assert [row.body for row in desk.hive.messages.group("coder").values()][1:] == ["hi"]

        run(story())

    def test_later(self, desk: Desk) -> None:
        """Given again later, it is answered from the log."""

        async def story() -> None:
            await desk.spawn("coder")
            first = await desk.dispatcher.dispatch(send(id="c1"))
            await desk.dispatcher.dispatch(send("between"))
            assert await desk.dispatcher.dispatch(send(id="c1")) == first

        run(story())

    def test_after_a_new_start(self, desk: Desk) -> None:
        """Given again to another daemon, it is answered from the log."""

        async def before() -> Answer:
            await desk.spawn("coder")
            return await desk.dispatcher.dispatch(send(id="c1"))

        first = asyncio.run(before())
        again = desk.reopened()

        async def after() -> None:
            position = again.hive.position
            assert await again.dispatcher.dispatch(send(id="c1")) == first
            assert again.hive.position == position

        run(after())

    def test_other_payload(self, desk: Desk) -> None:
        """The same id with another payload or another command is a conflict, at once and later."""

        async def story() -> None:
            await desk.spawn("coder")
            first, other = (desk.dispatcher.dispatch(send(body, id="c1")) for body in "ab")
            assert len(await first) == 1
            with pytest.raises(Conflict):
                await other
            with pytest.raises(Conflict, match="command id 'c1' was used for another command; use a new one"):
                await desk.dispatcher.dispatch(KillAgent(actor=OPERATOR, agent="coder", id="c1"))

        run(story())

    def test_of_each_actor(self, desk: Desk) -> None:
        """Ids of one actor mean nothing to another, who can neither guess answers nor block ids."""

        async def story() -> None:
            await desk.spawn("coder", "manager")
            await desk.dispatcher.dispatch(send("a", id="c1"))
            (other,) = await desk.dispatcher.dispatch(SendMessage(actor=MANAGER, to="coder", body="b", id="c1"))
            assert other.event.sender == "manager"

        run(story())

    def test_without_a_consequence(self, desk: Desk) -> None:
        """Also an answer without facts is the first answer: what was so already does not happen at the repetition."""

        async def before() -> None:
            await desk.spawn("coder")
            start = StartAgent(actor=OPERATOR, agent="coder", id="c1")
            assert await desk.dispatcher.dispatch(start) == ()
            (kill,) = await desk.dispatcher.dispatch(KillAgent(actor=OPERATOR, agent="coder"))
            await desk.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=kill.position))
            assert await desk.dispatcher.dispatch(start) == ()

        run(before())
        again = desk.reopened()

        async def after() -> None:
            assert await again.dispatcher.dispatch(StartAgent(actor=OPERATOR, agent="coder", id="c1")) == ()
            assert not again.hive.agents["coder"].running

        run(after())

    def test_remembering_leaves_the_mirror(self, desk: Desk) -> None:
        """To remember an id alone, as the first thing that a daemon does, does not send the tables back."""

        async def before() -> None:
            await desk.spawn("coder")

        run(before())
        again = desk.reopened()

        async def after() -> None:
            await again.dispatcher.dispatch(StartAgent(actor=OPERATOR, agent="coder", id="c1"))
            assert again.commits == 1
            assert mirror.stale(again.log.connection) is None

        run(after())

    def test_refusals_are_not_remembered(self, desk: Desk) -> None:
        """A command that was refused may be given again, and then succeed."""

        async def story() -> None:
            with pytest.raises(NotFound):
                await desk.dispatcher.dispatch(send(id="c1"))
            await desk.spawn("coder")
            assert len(await desk.dispatcher.dispatch(send(id="c1"))) == 1

        run(story())

    def test_order_of_a_set(self, desk: Desk) -> None:
        """A payload with a set is the same however the set was put together."""

        async def story() -> None:
            await desk.spawn("coder")
            one, other = frozenset([1, 9, 17]), frozenset([17, 9, 1])
            assert list(one) != list(other), "the sets should differ in their order"
            answers = [
                await desk.dispatcher.dispatch(TakeMail(actor=CODER, to="coder", holding=holding, id="c1"))
                for holding in (one, other)
            ]
            assert answers[0] == answers[1]

        run(story())

    def test_what_the_host_adds(self, desk: Desk) -> None:
        """An answer given again is the same command, though the host now knows that the question is resolved."""

        async def story() -> None:
            await desk.spawn("manager")
            await desk.dispatcher.dispatch(AskQuestion(actor=MANAGER, question="which?"))
            answer = AnswerQuestion(actor=OPERATOR, question=1, text="this", id="c1")
            first = await desk.dispatcher.dispatch(answer)

            history = History(desk.path)
            assert await resolve(desk.dispatcher, answer, history.question) == first
            closed = history.question(1)
            again = AnswerQuestion(actor=OPERATOR, question=1, text="this", id="c1", closed=closed)
            assert closed is not None
            assert await desk.dispatcher.dispatch(again) == first

        run(story())


class TestWait:
    """A long poll."""

    def test_wakes_in_the_commit_of_the_send(self, desk: Desk) -> None:
        """A message and its hand-over to a reader that waits are one commit."""

        async def story() -> None:
            await desk.spawn("coder")
            await drain(desk)
            reader = recv(desk)
            await parked()
            before = desk.commits
            (sent,) = await desk.dispatcher.dispatch(send())
            (handed,) = await reader
            assert handed.event == MessagesHandedOver(to="coder", ids=(sent.position,))
            assert handed.causation == sent.position
            assert desk.commits - before == 1

        run(story())

    def test_at_once(self, desk: Desk) -> None:
        """Where mail waits already nobody waits."""

        async def story() -> None:
            await desk.spawn("coder")
            assert len(await recv(desk)) == 1

        run(story())

    def test_in_vain(self, desk: Desk) -> None:
        """A wait that ends before anything comes has an empty answer, and takes nothing afterwards."""

        async def story() -> None:
            await desk.spawn("coder")
            await drain(desk)
            assert await recv(desk, seconds=0.01) == ()
            assert await recv(desk, seconds=0) == ()
            (sent,) = await desk.dispatcher.dispatch(send())
            assert desk.hive.messages["coder", sent.position].deliveries == 0

        run(story())

    def test_other_mail_wakes_nobody(self, desk: Desk) -> None:
        """Mail to somebody else leaves a reader waiting."""

        async def story() -> None:
            await desk.spawn("coder", "reviewer")
            await drain(desk)
            reader = recv(desk)
            await desk.dispatcher.dispatch(send(to="reviewer"))
            await parked()
            assert not reader.done()
            await desk.dispatcher.dispatch(send())
            assert len(await reader) == 1

        run(story())

    def test_cancelled(self, desk: Desk) -> None:
        """A reader that has gone takes nothing with it; the next one gets the message, for the first time."""

        async def story() -> None:
            await desk.spawn("coder")
            await drain(desk)
            gone = recv(desk)
            await parked()
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            (sent,) = await desk.dispatcher.dispatch(send())
            assert desk.hive.messages["coder", sent.position].deliveries == 0
            await recv(desk)
            assert not desk.hive.messages["coder", sent.position].redelivered

        run(story())

    def test_two_readers(self, desk: Desk) -> None:
        """Of two readers of one inbox one gets the message, the other waits on."""

        async def story() -> None:
            await desk.spawn("coder")
            await drain(desk)
            command = TakeMail(actor=CODER, to="coder", holding=frozenset())
            first, second = recv(desk), recv(desk)
            await parked()
            await desk.dispatcher.dispatch(send())
            done, waiting = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
            await parked()
            # The second reader holds nothing, so that the message is handed over to it again, or it waits for the next.
            assert {len(task.result()) for task in done} == {1}
            for task in waiting:
                task.cancel()
            assert await desk.dispatcher.dispatch(command) != ()

        run(story())

    def test_answer_in_the_last_moment(self, desk: Desk) -> None:
        """An answer that comes in the same moment as the end of the wait is not lost."""

        async def story() -> None:
            await desk.spawn("coder")
            await drain(desk)
            reader = recv(desk, seconds=0.01)
            await parked()
            while reader.done():  # the machine was too slow for it
                reader = recv(desk, seconds=0.01)
                await parked()
            time.sleep(0.02)  # noqa: ASYNC251 - the loop stands still past the end of the wait
            sent = desk.dispatcher.dispatch(send())
            assert len(await reader) == 1
            assert desk.hive.messages["coder", (await sent)[0].position].deliveries == 1

        run(story())

    def test_refused(self, desk: Desk) -> None:
        """A wait for what one may not have is refused at once."""

        async def story() -> None:
            command = TakeMail(actor=CODER, to="reviewer")
            with pytest.raises(Forbidden):
                await desk.dispatcher.wait(command, topics=(("messages", "reviewer"),), seconds=5)

        run(story())


class TestListeners:
    """Whoever follows the log."""

    def test_in_order_without_gaps(self, desk: Desk) -> None:
        """A listener hears of every fact once, in order, and of none that is not durable."""
        heard: list[Recorded] = []

        def listen(facts: list[Recorded]) -> None:
            assert list(read(read_only(desk.path), after=facts[0].position - 1)) == facts
            heard.extend(facts)

        async def story() -> None:
            desk.dispatcher.listen(listen)
            await desk.spawn("coder")
            await asyncio.gather(*(desk.dispatcher.dispatch(send()) for _ in range(600)))
            await desk.dispatcher.dispatch(send())
            assert [fact.position for fact in heard] == list(range(1, desk.hive.position + 1))

        run(story())

    def test_no_news(self, desk: Desk) -> None:
        """Refusals and repetitions are no news."""
        heard: list[int] = []

        async def story() -> None:
            await desk.spawn("coder")
            await desk.dispatcher.dispatch(send(id="c1"))
            desk.dispatcher.listen(lambda facts: heard.append(len(facts)))
            await desk.dispatcher.dispatch(send(id="c1"))
            with pytest.raises(NotFound):
                await desk.dispatcher.dispatch(send(to="nobody"))
            assert heard == []

        run(story())

    def test_leaving(self, desk: Desk) -> None:
        """Whoever leaves while it is told keeps nobody else from hearing."""
        heard: list[str] = []

        def once(_facts: list[Recorded]) -> None:
            heard.append("once")
            leave()

        async def story() -> None:
            desk.dispatcher.listen(lambda _: heard.append("always"))
            await desk.spawn("coder")
            assert heard == ["once", "always", "always"]

        leave = desk.dispatcher.listen(once)
        run(story())


def limit_pages(desk: Desk, more: int) -> None:
    """Let the file grow by so many pages only."""
    pages = desk.log.connection.execute("PRAGMA page_count").fetchone()[0]
    desk.log.connection.execute(f"PRAGMA max_page_count = {pages + more}")


class TestFullDisk:
    """No room."""

    def test_same_hive_afterwards(self, desk: Desk) -> None:
        """A full log refuses whole batches, what was answered stays, and with room the same command succeeds."""

        async def story() -> None:
            await desk.spawn("coder")
            limit_pages(desk, 30)
            answered: list[int] = []

            async def until_full() -> None:
                while True:
                    (sent,) = await desk.dispatcher.dispatch(send("x" * 3_000))
                    answered.append(sent.position)

            with pytest.raises(Unavailable, match="full: nothing was written; make room"):
                await until_full()
            assert answered
            assert desk.hive.position == answered[-1]
            assert desk.hive.rows == desk.loaded().rows
            limit_pages(desk, 1_000_000)
            (sent,) = await desk.dispatcher.dispatch(send("x" * 3_000, id="c1"))
            assert sent.position == answered[-1] + 1
            assert desk.hive.rows == desk.loaded().rows
            assert desk.failures == []
            assert chain.verify(desk.path).count == sent.position

        run(story())

    def test_everybody_in_the_batch_is_told(self, desk: Desk) -> None:
        """No answer of a batch that was not written is given: no fact, no refusal, no repetition, no hand-over."""

        async def story() -> None:
            await desk.spawn("coder", "reviewer")
            await drain(desk, "reviewer")
            await desk.dispatcher.dispatch(send(id="before"))
            waiting, elsewhere = recv(desk, name="reviewer"), recv(desk, name="tester")
            await parked()
            limit_pages(desk, 4)
            answers = await asyncio.gather(
                desk.dispatcher.dispatch(send(to="reviewer")),
                *(desk.dispatcher.dispatch(send("x" * 60_000, id=f"c{number}")) for number in range(3)),
                desk.dispatcher.dispatch(send(to="nobody")),
                desk.dispatcher.dispatch(send("x" * 60_000, id="c0")),
                desk.dispatcher.dispatch(send(id="before")),
                waiting,
                return_exceptions=True,
            )
            assert [type(answer) for answer in answers] == [Unavailable] * len(answers)
            assert not elsewhere.done()
            limit_pages(desk, 1_000_000)
            assert len(await desk.dispatcher.dispatch(send("x" * 60_000, id="c0"))) == 1
            assert desk.hive.rows == desk.loaded().rows
            elsewhere.cancel()

        run(story())


SENDER = (sys.executable, "-m", "tests.commands.sender")


@contextlib.contextmanager
def sending(path: Path, *before: str) -> Iterator[subprocess.Popen[str]]:
    """Start a sender, wait until it writes; afterwards it is gone."""
    argv = [*before, *SENDER, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
            yield program
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)


def check_answered(path: Path, said: str) -> None:
    """Expect each position that was answered in the file, and tables that are what the facts fold to."""
    answered = {int(word) for word in said.split() if word != "full"}
    desk = Desk(path)
    facts = list(read(desk.log.connection))
    assert answered <= {fact.position for fact in facts}
    assert chain.verify(path).count == len(facts)
    assert mirror.stale(desk.log.connection) is None
    folded = type(desk.hive)()
    folded.fold_all(facts)
    assert folded.rows == desk.hive.rows
    desk.log.close()


class TestFailure:
    """A log that is not durable ends the daemon."""

    def test_nobody_is_answered(self, desk: Desk) -> None:
        """Once the log has failed, whoever waits and whoever comes gets the failure, and the daemon is told once."""

        async def story() -> None:
            await desk.spawn("coder")
            await drain(desk)
            reader = recv(desk)
            await parked()
            desk.log.connection.execute("PRAGMA query_only = ON")  # any error of SQLite's but a full disk
            first, second = desk.dispatcher.dispatch(send()), desk.dispatcher.dispatch(send(to="nobody"))
            for asked in (first, second, reader):
                with pytest.raises(LogFailed, match="readonly"):
                    await asked
            with pytest.raises(LogFailed):
                await desk.dispatcher.dispatch(send())
            assert [type(failure) for failure in desk.failures] == [LogFailed]

        run(story())

    @pytest.mark.parametrize("nth", [10, 40])
    def test_failing_fsync(self, hive_db: Path, nth: int) -> None:
        """With an fsync that really fails nothing is answered that is not there at the next start."""
        strace = shutil.which("strace")
        if strace is None or subprocess.run([strace, "true"], capture_output=True, check=False).returncode != 0:
            pytest.skip("needs strace, and a kernel that lets it trace")
        inject = ("-e", "trace=fsync,fdatasync", "-e", f"inject=fsync,fdatasync:error=EIO:when={nth}+")
        with sending(hive_db, strace, "-f", "-o", "/dev/null", *inject) as program:
            said, _ = program.communicate(timeout=60)
            assert program.returncode == 4
        check_answered(hive_db, said)

    def test_killed(self, hive_db: Path) -> None:
        """Killed again and again in the middle of its work, a daemon has every answer it gave at the next start."""
        said = ""
        for answers in (1, 3, 10, 50, 200):
            with sending(hive_db) as program:
                assert program.stdout is not None
                said += "".join(program.stdout.readline() for _ in range(answers))
                program.send_signal(signal.SIGKILL)
                said += program.stdout.read() + "\n"  # it may have been killed before its own newline
            check_answered(hive_db, said)
        assert len(said.split()) >= 264 > WRITERS
