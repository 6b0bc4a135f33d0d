"""The facts of one file, in order and each checked against the chain: the only place where replay reads a log."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from hyperhive.events import chain, codec
from hyperhive.events.chain import ChainBroken
from hyperhive.events.cut import cut_off, lacking, read_what_is_left
from hyperhive.events.damage import LogDamaged, SegmentLost
from hyperhive.events.envelope import Recorded
from hyperhive.events.log import read_only, release_at
from hyperhive.events.reading import Selection, Unreadable, position_before, select
from hyperhive.events.rows import Rows
from hyperhive.events.segments import archived

Step = tuple[Recorded, bytes]
"""A fact, and the chain's hash at it."""


_GAP = 24
"""Facts that are cheaper to read than to begin anew after them."""


class NotThere(Exception):  # noqa: N818 - an outcome people meet
    """What was asked for is not in the log."""

    code = "not_found"


class Unreplayable(Exception):  # noqa: N818
    """The first position that cannot be replayed, and what is still readable."""

    code = "failed"

    def __init__(self, position: int, reason: str) -> None:
        whole = f"up to {position - 1} it is whole (hyperhive replay at {position - 1})"
        super().__init__(
            f"the past cannot be read at position {position}: {reason}; "
            + (whole if position > 1 else "nothing before it can be read")
        )
        self.position = position
        self.reason = reason


class Source:
    """One log's file, read-only; a daemon may be writing to it. One thread at a time."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise NotThere(f"no log at {path}; name a hive's database with --file, or begin one: hyperhive serve")
        self.path = path
        self._connection = read_only(path)
        read_what_is_left(self._connection, path)
        self._cut = cut_off(path) is not None
        self.broken: Unreplayable | None = None
        """What is beyond the last position that can be read, in a file with a damaged page."""
        with self._reading(1):
            tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master")}
        if "facts" not in tables:
            self.close()
            reason = f"{path}: {chain.OLDER}" if "events" in tables else f"there is no log in {path}"
            raise Unreplayable(1, reason)
        self._rows = Rows(self._connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @property
    def head(self) -> int:
        """The last position that can be read, 0 for a log without a fact; `broken` says whether there were more."""
        if self.broken is None and self._cut:  # where half a page is there, SQLite takes the rest of it for zeros
            self.broken = self._first_broken()
        if self.broken is None:
            try:
                return int(self._connection.execute("SELECT coalesce(max(position), 0) FROM facts").fetchone()[0])
            except sqlite3.Error:
                self.broken = self._first_broken()
        return self.broken.position - 1

    def _first_broken(self) -> Unreplayable:
        """Find where a damaged file can be read no longer, by walking it once."""
        try:
            count = chain.verify(self.path).count
        except ChainBroken as broken:
            return self._unreplayable(broken)
        return Unreplayable(count + 1, "SQLite cannot read on")

    def hash_at(self, position: int) -> bytes | None:
        """Return the chain's hash at a position; None where there is no such fact."""
        with self._reading(position):
            return self._rows.hash_at(position)

    def agrees(self, position: int, hash_: bytes) -> bool:
        """Whether the chain has this hash at a position; what cannot be read (a segment is gone) says nothing of it."""
        try:
            return self.hash_at(position) == hash_
        except Unreplayable:
            return True

    def at(self, position: int) -> int | None:
        """Return when a fact was written, microseconds since 1970."""
        with self._reading(position):
            row = self._rows.at(position)
        return None if row is None else int(row[4])

    def steps(self, after: int, until: int) -> Iterator[Step]:
        """Yield the facts after a position, decoded, each with its hash once its link was checked.

        Holds no snapshot. Raises `Unreplayable` with the first position that is not what was written, or that this
        release does not know.
        """
        if until <= after:
            return
        position, decode = after, codec.decode
        try:
            for envelope, data, hash_ in chain.walked(self.path, after + 1, until):
                position = envelope[0]
                yield Recorded(*(*envelope, decode(envelope[3], bytes(data)))), hash_
        except ChainBroken as broken:
            raise self._unreplayable(broken) from broken
        except codec.UnknownType as error:
            with self._reading(position):
                release = release_at(self._connection, position)
            raise Unreplayable(position, f"{error}; release {release} wrote it and can read it") from error
        except codec.BadData as error:
            raise Unreplayable(position, str(error)) from error

    def fact(self, position: int) -> Recorded:
        """Return one fact; raises `NotThere` for a position that the log does not have."""
        if not 1 <= position <= self.head:
            raise NotThere(f"there is no event {position}; the log has 1 to {self.head}")
        return next(self.steps(position - 1, position))[0]

    def facts(self, positions: Iterable[int]) -> dict[int, Recorded]:
        """Return several facts; those that stand close together are read at once."""
        found: dict[int, Recorded] = {}
        run: list[int] = []
        for position in [*sorted(set(positions)), None]:
            if run and (position is None or position - run[-1] > _GAP):
                wanted = set(run)
                steps = self.steps(run[0] - 1, run[-1])
                found |= {fact.position: fact for fact, _ in steps if fact.position in wanted}
                run = []
            if position is not None:
                run.append(position)
        return found

    def before_in(self, stream: str, *, before: int, most: int, types: tuple[str, ...] = ()) -> list[int]:
        """Return the previous positions of a stream, newest first; of some types, if any are named."""
        with self._reading(before):
            found = select(self._connection, Selection(stream=stream, types=types, until=before - 1), limit=most)
            return [fact["position"] for fact in found][::-1]

    def texts(self, positions: list[int]) -> list[tuple[int, str]]:
        """Return the data of facts as JSON, unchecked: for searching. In the order of the positions given."""
        if not positions:
            return []
        low, high = min(positions), max(positions)
        with self._reading(low):
            old = archived(self._connection)
            wanted = set(positions)
            found = {row[0]: _text(row[8]) for row in self._rows.between(low - 1, min(high, old)) if row[0] in wanted}
            live = [position for position in positions if position > old]
            sql = f"SELECT position, data FROM facts WHERE position IN ({', '.join('?' * len(live))})"  # noqa: S608
            found.update(self._connection.execute(sql, live))
        return [(position, found[position]) for position in positions if position in found]

    def position_at(self, at: int) -> int:
        """Return the last position at a moment (microseconds since 1970), 0 where the log begins later.

        Where a clock was set back there are several answers; this is one of them.
        """
        with self._reading(1):
            return position_before(self._connection, at + 1)

    def _unreplayable(self, broken: ChainBroken) -> Unreplayable:
        cut = cut_off(self.path)
        known = cut is None or cut in broken.reason
        return Unreplayable(broken.position, broken.reason if known else f"{broken.reason}; {cut}")

    @contextlib.contextmanager
    def _reading(self, position: int) -> Iterator[None]:
        try:
            yield
        except SegmentLost as lost:
            raise Unreplayable(lost.first, f"up to {lost.last} it is archived, and {lost.reason}") from lost
        except (LogDamaged, Unreadable) as damaged:
            raise Unreplayable(position, str(damaged)) from damaged
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise Unreplayable(position, f"{self.path}: {lacking(self.path, error)}") from error


def _text(data: str | bytes) -> str:
    return data if isinstance(data, str) else data.decode()
