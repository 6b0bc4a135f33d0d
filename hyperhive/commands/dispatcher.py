"""The dispatcher: the one writer. It takes every command that waits, decides them in order, and commits once.

Decisions in one batch see each other; nobody hears of any of them before all are durable. A command may wait for facts
(`Dispatcher.wait`): it is decided again, in the same batch, as soon as a row of its view changes, so that a message
and its hand-over to a waiting reader cost one fsync.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import cache, partial
from hashlib import sha256
from operator import attrgetter
from typing import Any

import attrs
import msgspec

from hyperhive.commands.asks import Answer, Ask, Hearer, Parking, Topic
from hyperhive.commands.command import Command
from hyperhive.commands.decide import cause_of, decide
from hyperhive.commands.errors import Conflict, Invalid, Unavailable
from hyperhive.events import codec
from hyperhive.events.envelope import Fact, Recorded
from hyperhive.events.log import Log, LogFailed, LogFull, transaction
from hyperhive.events.segments import Kept
from hyperhive.projections.hive import Hive
from hyperhive.projections.mirror import Mirror, load

BATCH_MAX = 512
"""Commands decided before a commit; more wait for the next, so that no answer waits for ever."""

CROWD = 8
"""Commands in a batch after which the next one waits for one more look at the sockets: whoever was just answered asks
again at once, and half of them would come a moment too late and pay for an fsync of their own."""

Listener = Callable[[list[Recorded]], None]
"""Hears the facts of a batch; none of them when waits are released."""


@attrs.frozen(kw_only=True)
class _Remembered:
    """An answered command id: its facts are ``first`` to ``last``, none where ``last`` is smaller."""

    actor: str
    id: str
    digest: bytes
    first: int
    last: int


@attrs.define(eq=False)
class _Batch:
    """What one commit will make true, and the answers that wait for it."""

    asks: list[Ask]
    """All that it takes up; each is answered by it or parked."""
    now: int = 0
    facts: list[Recorded] = attrs.field(factory=list)
    answers: list[tuple[Ask, Answer | Exception]] = attrs.field(factory=list)
    remembered: dict[tuple[str, str], _Remembered] = attrs.field(factory=dict)
    touched: set[Topic] = attrs.field(factory=set)


class Dispatcher:
    """Holds the hive and the log together; lives in one event loop."""

    def __init__(
        self,
        log: Log,
        hive: Hive,
        *,
        clock: Callable[[], int],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self.hive = hive
        self.released = False
        """Whether the daemon is about to end, so that nothing waits any more."""
        self._log = log
        self._clock = clock
        self._on_failure = on_failure
        self._queue: list[Ask] = []
        self._parking = Parking()
        self._mirror = Mirror()
        self._listeners: list[Listener] = []
        self._scheduled = False
        self._failed: Exception | None = None
        self._newest = 0
        """Commands in the newest batch."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with the facts of each batch once they are durable; returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def release(self) -> None:
        """Answer every wait now with no facts, and each later one at once: the daemon is about to end."""
        self.released = True
        for ask in self._parking.take_all():
            self._answer(ask, ())
        for listener in tuple(self._listeners):
            listener([])

    def dispatch(self, command: Command) -> asyncio.Future[Answer]:
        """Decide a command with whatever else waits.

        The future holds the facts once they are durable, or raises `Refused`; `LogFailed` once the daemon must end.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._put(Ask(command, answer))
        return answer

    async def wait(self, command: Command, *, topics: tuple[Topic, ...], seconds: float) -> Answer:
        """Decide a command; where nothing follows, again whenever a row that one of the topics names changes.

        Returns no facts after ``seconds``. A caller that is cancelled takes nothing.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        withdraw = self.ask(command, answer, topics=topics, seconds=seconds)
        try:
            return await answer
        finally:
            withdraw()

    def ask(
        self, command: Command, hearer: Hearer, *, topics: tuple[Topic, ...] = (), seconds: float = 0.0
    ) -> Callable[[], None]:
        """Do as `dispatch` does, or with ``topics`` as `wait`, for somebody who hears the answer by a call.

        What a hearer does it does before the next batch is decided. Returns what ends its wait when it goes.
        """
        ask = Ask(command, hearer, topics if seconds > 0 else (), seconds)
        self._put(ask)
        return partial(self._withdraw, ask)

    def _withdraw(self, ask: Ask) -> None:
        if ask.end is not None:
            ask.end.cancel()
        self._parking.drop(ask)

    def forget_answers(self, ids: Sequence[tuple[str, str]]) -> None:
        """Let these command ids, each with its actor, be new ones again: what they led to stays.

        Raises `Unavailable` where the log has no room for that, `LogFailed` once the daemon must end.
        """
        if self._failed is not None:
            raise self._failed
        try:
            with transaction(self._log.connection):
                self._log.connection.executemany("DELETE FROM commands WHERE actor = ? AND id = ?", ids)
        except LogFull as full:
            raise Unavailable(str(full)) from full
        except LogFailed as failure:
            self._fail(failure, _Batch(asks=[]))
            raise

    def leave(self, segment: Kept) -> None:
        """Let archived facts go from the live file; nothing that anybody knows changes.

        Raises `Unavailable` where the log has no room for that, `LogFailed` once the daemon must end.
        """
        if self._failed is not None:
            raise self._failed
        try:
            self._log.leave(segment)
        except LogFull as full:
            raise Unavailable(str(full)) from full
        except LogFailed as failure:
            self._fail(failure, _Batch(asks=[]))
            raise

    def _put(self, ask: Ask) -> None:
        if self._failed is not None:
            self._answer(ask, self._failed)
            return
        self._queue.append(ask)
        self._schedule(asyncio.get_running_loop())

    def _park(self, ask: Ask) -> None:
        self._parking.put(ask)
        if ask.end is None:
            ask.end = asyncio.get_running_loop().call_later(ask.seconds, self._end_wait, ask)

    def _end_wait(self, ask: Ask) -> None:
        """Answer with no facts; nothing happens where the answer came in the same moment."""
        self._parking.drop(ask)
        self._answer(ask, ())

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._queue and not self._scheduled:
            self._scheduled = True
            if self._newest > CROWD:
                loop.call_soon(loop.call_soon, self._flush, loop)
            else:
                loop.call_soon(self._flush, loop)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        asks, self._queue = self._queue[:BATCH_MAX], self._queue[BATCH_MAX:]
        self._scheduled = False
        self._newest = len(asks)
        try:
            self._settle_all(_Batch(asks=asks))
        finally:
            # Last, so that this batch's answers are heard before the next one is decided.
            self._schedule(loop)

    def _settle_all(self, batch: _Batch) -> None:
        """Decide, commit once, then answer."""
        try:
            batch.now = self._clock()
            for ask in tuple(batch.asks):
                self._settle(ask, batch)
            self._settle_parked(batch)
            if batch.facts or batch.remembered:
                self._log.commit(lambda connection: self._write(connection, batch))
        except LogFull as full:
            self._go_back(full, batch)
            return
        except Exception as failure:  # noqa: BLE001 - whatever broke, memory is ahead of the file now
            self._fail(failure, batch)
            return
        finally:
            self._mirror.clear()
        for ask, answer in batch.answers:
            self._answer(ask, answer)
        if batch.facts:
            self._tell(batch.facts)

    def _answer(self, ask: Ask, answer: Answer | Exception) -> None:
        try:
            ask.resolve(answer)
        except Exception as defect:  # noqa: BLE001 - as with listeners
            self._on_failure(defect)

    def _tell(self, facts: list[Recorded]) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(facts)
            except Exception as defect:  # noqa: BLE001 - the others hear of it all the same, and the daemon ends
                self._on_failure(defect)

    def _settle(self, ask: Ask, batch: _Batch) -> None:
        """Decide one command and keep its answer for after the commit, or park it."""
        if ask.hearer.done():  # its caller has gone
            return
        command = ask.command if ask.command.at else _stamped(ask.command, batch.now)
        try:
            answer = None if command.id is None else self._first_answer(command, command.id, batch)
            if answer is not None:
                batch.answers.append((ask, answer))
                return
            events = decide(self.hive, command)
            written = [codec.encode(event) for event in events]
        except codec.BadData as error:
            batch.answers.append((ask, Invalid(str(error))))
            return
        except Exception as refusal:  # noqa: BLE001 - deciding is pure: whatever it raises is its caller's alone
            batch.answers.append((ask, refusal))
            return
        if not events and ask.topics and not self.released:
            self._park(ask)
            return
        batch.answers.append((ask, self._record(command, events, written, batch)))
        if command.id is not None:
            self._remember(command, command.id, batch, len(events))

    def _record(self, command: Command, events: list[Fact], written: list[bytes], batch: _Batch) -> Answer:
        """Give the facts their place in the log, and fold them."""
        cause = cause_of(self.hive, command, events)
        first = len(batch.facts)
        for event, data in zip(events, written, strict=True):
            recorded = self._log.record(event, at=command.at, actor=command.actor, cause=cause, data=data)
            changed = self.hive.fold(recorded)
            self._mirror.note(recorded.position, changed)
            if self._parking:
                batch.touched.update([(view.name, key[0] if type(key) is tuple else key) for view, key, _ in changed])
            batch.facts.append(recorded)
        return tuple(batch.facts[first:])

    def _settle_parked(self, batch: _Batch) -> None:
        """Decide again what waited for the rows that this batch changed; who waited longest is answered first."""
        others = len(batch.answers)
        while woken := self._parking.take(batch.touched):
            batch.touched.clear()
            batch.asks.extend(woken)
            for ask in woken:
                self._settle(ask, batch)
        batch.answers = batch.answers[others:] + batch.answers[:others]

    def _first_answer(self, command: Command, id_: str, batch: _Batch) -> Answer | None:
        """Return what this command id was answered with before, in this batch or earlier; None for a new one."""
        actor = str(command.actor)
        known = batch.remembered.get((actor, id_)) or self._recall(actor, id_)
        if known is None:
            return None
        if known.digest != _digest(command):
            raise Conflict(f"the command id {id_!r} was used for another command; use a new one")
        in_batch = [fact for fact in batch.facts if known.first <= fact.position <= known.last]
        return tuple(in_batch) or tuple(self._log.read(known.first, known.last))

    def _recall(self, actor: str, id_: str) -> _Remembered | None:
        sql = "SELECT digest, first, last FROM commands WHERE actor = ? AND id = ?"
        row = self._log.connection.execute(sql, (actor, id_)).fetchone()
        return None if row is None else _Remembered(actor=actor, id=id_, digest=row[0], first=row[1], last=row[2])

    def _remember(self, command: Command, id_: str, batch: _Batch, count: int) -> None:
        actor, last = str(command.actor), self._log.head.position
        batch.remembered[actor, id_] = _Remembered(
            actor=actor,
            id=id_,
            digest=_digest(command),
            first=last - count + 1,
            last=last,
        )

    def _write(self, connection: sqlite3.Connection, batch: _Batch) -> None:
        if batch.facts:
            self._mirror.write(connection)
        if batch.remembered:
            rows = [attrs.astuple(row) for row in batch.remembered.values()]
            connection.executemany("INSERT INTO commands (actor, id, digest, first, last) VALUES (?, ?, ?, ?, ?)", rows)

    def _go_back(self, full: LogFull, batch: _Batch) -> None:
        """Stand where the file stands: nothing of the batch happened, and all of it may be asked again."""
        try:
            self.hive.become(load(self._log.connection))
        except Exception as failure:  # noqa: BLE001 - as in a batch
            self._fail(failure, batch)
            return
        self._void(Unavailable(str(full)), batch)

    def _fail(self, failure: Exception, batch: _Batch) -> None:
        """Answer nobody any more: what is in the file is not known until it is read anew."""
        self._failed = failure if isinstance(failure, LogFailed) else LogFailed(f"a batch broke: {failure!r}")
        waiting, self._queue = (*self._queue, *self._parking.take_all()), []
        for ask in waiting:
            self._answer(ask, self._failed)
        self._void(self._failed, batch)
        self._on_failure(failure)

    def _void(self, error: Exception, batch: _Batch) -> None:
        for ask in batch.asks:
            self._parking.drop(ask)
            self._answer(ask, error)


@cache
def _but_time(kind: Any) -> tuple[list[str], Callable[[Command], tuple[Any, ...]]]:
    names = [field.name for field in attrs.fields(kind) if field.name != "at"]
    return names, attrgetter(*names)


def _stamped(command: Command, at: int) -> Command:
    """Return a command with the time; what `attrs.evolve` does, in a third of its time."""
    kind: Any = type(command)
    names, values = _but_time(kind)
    stamped: Command = kind(at=at, **dict(zip(names, values(command), strict=True)))
    return stamped


def _digest(command: Command) -> bytes:
    """Hash what a command asks for: its class and fields, without who, when, why and the id itself.

    Nor with fields that do not count for equality: what the host adds from what it knows at that moment.
    """
    own = {name: value for name in _fields(command) if (value := getattr(command, name)) is not None}
    return sha256(msgspec.json.encode([type(command).__name__, own], order="deterministic")).digest()


def _fields(command: Command) -> list[str]:
    common = {field.name for field in attrs.fields(Command)}
    return [field.name for field in attrs.fields(type(command)) if field.eq and field.name not in common]
