"""The past of one log, for whoever shows it: any moment, what changed, what led to what, what stands out.

This is what other rooms use. Everything here is read-only for the log; what makes it fast is kept in a file beside it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self, TypeVar

import attrs

from hyperhive.events.envelope import Recorded, rfc3339
from hyperhive.projections.hive import Hive
from hyperhive.replay import causes
from hyperhive.replay.bisect import Found, Range, bisect
from hyperhive.replay.causes import Node
from hyperhive.replay.changes import Change, changes
from hyperhive.replay.expression import BadExpression, Predicate, predicate
from hyperhive.replay.index import Filter, Index, Mark
from hyperhive.replay.keeper import Keeper, nearest
from hyperhive.replay.listing import SEARCH_SECONDS, Event, Page, Search, Stretch, event_of, stretches
from hyperhive.replay.marking import Kind
from hyperhive.replay.moments import BadMoment, read_moment
from hyperhive.replay.showing import State, show
from hyperhive.replay.source import NotThere, Source, Unreplayable
from hyperhive.replay.store import BLOCK, BadStore, in_memory, open_store
from hyperhive.replay.telling import told
from hyperhive.replay.whatif import Alteration, Altered, what_if

BISECT_SECONDS = 60.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALTERABLE = ("ContainerCrashed", "QuestionAsked", "ApprovalRequested", "ConfigurationApplied")
"""What a rule can make a difference to at the earliest."""

T = TypeVar("T")

__all__ = [
    "Alteration",
    "Altered",
    "BadExpression",
    "BadMoment",
    "Change",
    "Event",
    "Filter",
    "Found",
    "Kind",
    "Mark",
    "Node",
    "NotThere",
    "Page",
    "Past",
    "Predicate",
    "Scene",
    "State",
    "Stretch",
    "Unreplayable",
    "predicate",
]


@attrs.frozen(kw_only=True)
class Scene:
    """One fact, and what it changed."""

    event: Event | None
    """None at position 0, before everything."""
    state: State
    changes: tuple[Change, ...]


class Past:
    """One log, its checkpoints and its index. Its methods may be called from several threads, one at a time goes on.

    Opened on a running hive's database or on a copy of one. Every fact that a state is folded from was checked against
    the hash chain, now or when its checkpoint was made. Methods raise `Unreplayable` where the log cannot be read,
    `NotThere` for what it does not have, `BadMoment` for a text that is no moment.
    """

    def __init__(
        self, path: Path, *, said: Callable[[int, int], None] = lambda _done, _all: None, block: int = BLOCK
    ) -> None:
        """Open a log. ``said`` is told how far the checkpoints are, where many have to be made.

        ``block`` is how many facts are between two of them.
        """
        self._block = block
        self._source = Source(path)
        self._said = said
        self._lock = threading.RLock()
        self._begin()

    def _begin(self) -> None:
        """Open the checkpoints, in memory where this user may not write them."""
        try:
            self._store = open_store(self._source.path, block=self._block)
            self.kept = True
            """Whether the checkpoints stay for the next time."""
            self._store.adopt(self._source.agrees)
        except (BadStore, OSError):
            self._store = in_memory(block=self._block)
            self.kept = False
        self._keeper = Keeper(self._source, self._store)
        self._index = Index(self._source, self._store, self._keeper)
        self._cursor: Hive | None = None

    def close(self) -> None:
        """Close the files."""
        self._store.close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def head(self) -> int:
        """The last position there is now."""
        with self._lock:
            return self._source.head

    def position(self, text: str, *, now: datetime, zone: tzinfo | None = None) -> int:
        """Return the position that a text means: itself, or the last one at that time."""
        found = read_moment(text, now=now, zone=zone)
        with self._lock:
            head = self._source.head
            if self._source.broken is not None and (isinstance(found, datetime) or found > head):
                raise self._source.broken
            if isinstance(found, datetime):
                return self._position_at(text, found, now)
            if found > head:
                raise NotThere(f"there is no position {found}; the log ends at {head}")
            return found

    def _position_at(self, text: str, found: datetime, now: datetime) -> int:
        if found > now:
            raise BadMoment(f"{text!r} is {_shown(found)}, which is yet to come; it is {_shown(now)} now")
        position = self._source.position_at((found - _EPOCH) // timedelta(microseconds=1))
        if position == 0:
            begins = self._source.at(1)
            when = "has no event yet" if begins is None else f"begins at {rfc3339(begins)} with position 1"
            raise NotThere(f"{text!r} is {_shown(found)}, before the log: it {when}")
        return position

    def time_of(self, position: int) -> int | None:
        """Return when a fact was written, microseconds since 1970; None at position 0."""
        with self._lock:
            return self._source.at(position)

    def state(self, position: int) -> State:
        """Return the whole hive as it stood right after a position, as `showing.show` shows it."""
        return self._ask(lambda: self._shown(position))

    def hive(self, position: int) -> Hive:
        """Return the folded hive itself, the caller's to keep."""
        return self._ask(lambda: self._stood(position))

    def _stood(self, position: int) -> Hive:
        hive = self._stand(position)
        self._cursor = None
        return hive

    def scene(self, position: int) -> Scene:
        """Return one fact, the state after it, and what it changed."""
        return self._ask(lambda: self._scene(position))

    def _scene(self, position: int) -> Scene:
        if position == 0:
            return Scene(event=None, state=self._shown(0), changes=())
        before, after = self._shown(position - 1), self._shown(position)
        event = event_of(self._source.fact(position))
        return Scene(event=event, state=after, changes=tuple(changes(before, after)))

    def diff(self, a: int, b: int) -> list[Change]:
        """Return what changed between two positions, in words, view by view."""
        return self._ask(lambda: self._diff(a, b))

    def _diff(self, a: int, b: int) -> list[Change]:
        if a > b:
            after = self._shown(b)  # the earlier one first: the hive is folded forwards
            return changes(self._shown(a), after)
        before = self._shown(a)
        return [self._ending(change, before=a, until=b) for change in changes(before, self._shown(b))]

    def _ending(self, change: Change, *, before: int, until: int) -> Change:
        """Say of a question or an approval that is open no longer how it ended."""
        if change.kind != "gone" or change.view not in ("questions", "approvals"):
            return change
        stream = f"{change.view.removesuffix('s')}-{change.key}"
        found = self._source.before_in(stream, before=until + 1, most=1)
        if not found or found[0] <= before:
            return change
        return attrs.evolve(change, words=told(self._source.fact(found[0])))

    def event(self, position: int) -> Event:
        """Return one fact."""
        with self._lock:
            return event_of(self._source.fact(position))

    def recorded(self, positions: Iterable[int]) -> dict[int, Recorded]:
        """Return several facts as the log has them, by position."""
        with self._lock:
            return self._source.facts(positions)

    def in_stream(self, stream: str, *, until: int, most: int, types: tuple[str, ...] = ()) -> list[Recorded]:
        """Return the newest facts of a stream up to a position, the newest first; of some types, if any are named."""
        with self._lock:
            found = self._source.before_in(stream, before=until + 1, most=most, types=types)
            facts = self._source.facts(found)
            return [facts[position] for position in found]

    def positions_at(self, times: Iterable[int]) -> list[int]:
        """Return the last position by each of some moments (microseconds since 1970), 0 where there is none."""
        with self._lock:
            return [self._source.position_at(at) for at in times]

    def events(
        self,
        wanted: Filter,
        *,
        before: int | None = None,
        after: int | None = None,
        most: int = 100,
        seconds: float = SEARCH_SECONDS,
    ) -> Page:
        """List facts: the newest first, from before a position; with ``after`` the oldest first, from after it."""
        return self._ask(lambda: self._events(wanted, before=before, after=after, most=most, seconds=seconds))

    def _events(self, wanted: Filter, *, before: int | None, after: int | None, most: int, seconds: float) -> Page:
        head = self._source.head
        self._reach(head)
        low = 1 if after is None else after + 1
        high = head if before is None else min(before - 1, head)
        search = Search(self._source, self._index, wanted, newest_first=after is None)
        return search.page(low, high, most=most, seconds=seconds)

    def marks(self, *, after: int = 0, until: int | None = None, most: int = 1_000) -> list[Mark]:
        """Return the crashes, approvals and questions in a range, the newest so many, oldest first."""

        def found() -> list[Mark]:
            head = self._source.head
            self._reach(head)
            return self._index.marks(after=after, until=head if until is None else until, most=most)

        return self._ask(found)

    def track(self, parts: int) -> list[Stretch]:
        """Cut the whole log into equal parts, and count what stands out in each."""

        def cut() -> list[Stretch]:
            head = self._source.head
            self._reach(head)
            return stretches(self._index, head=head, parts=parts)

        return self._ask(cut)

    def why(self, subject: str, *, everything: bool = False) -> Node:
        """Return the tree of causes of a position, ``question:12``, ``agent:coder`` or ``approval:3``."""
        return self._ask(lambda: self._why(subject, everything=everything))

    def _why(self, subject: str, *, everything: bool) -> Node:
        head = self._source.head
        position = causes.subject_position(self._source, subject, head=head)
        with contextlib.suppress(Unreplayable):  # what led here is known all the same; it is checked as it is read
            self._reach(head)
        return causes.why(self._source, self._index, position, everything=everything)

    def bisect(
        self, predicate: Predicate, *, first: int = 1, last: int | None = None, seconds: float = BISECT_SECONDS
    ) -> Found:
        """Find the first position from ``first`` to ``last`` (else the end) at which a predicate holds.

        What is not looked at after so many seconds is not; the answer says how far it came.
        """

        def search() -> Found:
            head = self._source.head
            within = Range(first=first, last=head if last is None else last)
            if not 0 <= within.first <= within.last <= head:
                raise NotThere(f"there are no positions from {within.first} to {within.last}; the log has 0 to {head}")
            if predicate.grows:
                self._keep(within.last)
            return bisect(
                self._source,
                self._stood,
                predicate,
                within,
                ends=self._store.ends(),
                destroyed=self._destroyed,
                seconds=seconds,
            )

        return self._ask(search)

    def _destroyed(self, agents: frozenset[str] | None) -> bool:
        self._reach(self._source.head)
        for agent in [None] if agents is None else sorted(agents):
            wanted = Filter(types=("DestroySucceeded",), agent=agent)
            windows = self._index.matching(wanted, low=1, high=self._source.head, newest_first=True)
            if any(windows):
                return True
        return False

    def what_if(self, alteration: Alteration, *, last: int | None = None) -> Altered:
        """Decide the past anew with something altered, up to a position (else the end); nothing is written."""
        return self._ask(lambda: self._what_if(alteration, last))

    def _what_if(self, alteration: Alteration, last: int | None) -> Altered:
        head = self._source.head
        last = head if last is None else last
        begun = min(alteration.without, default=None)
        if begun is not None and not 1 <= begun <= max(alteration.without) <= last:
            raise NotThere(f"there are no such events to leave out; the log has 1 to {last}")
        for category, number in alteration.endings:
            causes.subject_position(self._source, f"{category}:{number}", head=head)
        for agent in alteration.budgets:
            causes.subject_position(self._source, f"configuration:{agent}", head=head)
        if begun is None or alteration != Alteration(without=alteration.without):
            begun = self._first_of(_ALTERABLE, begun or last)
        facts = (fact for fact, _ in self._source.steps(begun - 1, last))
        return what_if(self._stood(begun - 1), self._stood(begun - 1), facts, alteration)

    def _first_of(self, types: tuple[str, ...], until: int) -> int:
        """Return the first position of some types, ``until`` where there is none before it."""
        self._reach(self._source.head)
        windows = self._index.matching(Filter(types=types), low=1, high=until, newest_first=False)
        return next((window[0] for window in windows if window), until)

    def ends(self) -> list[int]:
        """Return the positions of the checkpoints, oldest first."""
        return self._ask(self._store.ends)

    def keep(self, until: int) -> None:
        """Make every checkpoint up to a position that is not there yet."""
        self._ask(lambda: self._keep(until))

    def facts(self, *, after: int, until: int) -> Iterator[Recorded]:
        """Yield facts in order, each checked against the chain."""
        return (fact for fact, _ in self._source.steps(after, until))

    def _shown(self, position: int) -> State:
        return show(self._stand(position), self._source.at(position))

    def _stand(self, position: int) -> Hive:
        """Return the hive at a position; it is the cursor, and goes on with the next call."""
        if not 0 <= position <= self._source.head:
            raise NotThere(f"there is no position {position}; the log has 0 to {self._source.head}")
        self._keep(position)
        hive, self._cursor = self._cursor, None
        ends = [end for end in self._store.ends() if end <= position]
        if hive is None or not (ends[-1] if ends else 0) <= hive.position <= position:
            hive = nearest(self._source, self._store, position)
        self._advance(hive, position)
        self._cursor = hive
        return hive

    def _advance(self, hive: Hive, position: int) -> None:
        hive.fold_all(fact for fact, _ in self._source.steps(hive.position, position))

    def _keep(self, until: int) -> None:
        self._keeper.keep(until, lambda done: self._said(done, until))

    def _reach(self, head: int) -> None:
        self._keep(head)
        self._index.reach(head)

    def _ask(self, question: Callable[[], T]) -> T:
        """Answer with the lock held; where the file of checkpoints fails meanwhile, with another one."""
        with self._lock:
            try:
                return question()
            except BadStore:
                self._store.close()
                self._begin()
                return question()


def _shown(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds")
