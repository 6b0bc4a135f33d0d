"""Folds the whole log anew and compares every projection with its table, row by row, and every checkpoint."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path

import attrs
from sqlalchemy import create_engine

from hyperhive.events import chain
from hyperhive.events.chain import Anchor, AnchorMissed, ChainBroken, Verified
from hyperhive.events.log import LogDamaged, LogFailed, read_only
from hyperhive.projections import database, mirror
from hyperhive.projections.hive import PROJECTIONS, Hive
from hyperhive.projections.projection import Projection
from hyperhive.replay.snapshot import BadSnapshot
from hyperhive.replay.source import Source, Unreplayable
from hyperhive.replay.store import BadStore, read_store


@attrs.frozen(kw_only=True)
class Agreement:
    """Fold and tables agree."""

    position: int
    rows: dict[str, int]
    """Rows compared, by projection."""


@attrs.frozen(kw_only=True)
class Checked:
    """The checkpoints of this release that there are, and fold to what they hold; ``position`` is of the latest."""

    count: int
    position: int


class Disagreement(Exception):  # noqa: N818
    """The first thing in which the tables are not what the log folds to."""


@attrs.frozen(kw_only=True)
class Report:
    """What holds of a hive's file and what does not: its chain, and its views."""

    chain: Verified | ChainBroken | AnchorMissed
    views: Agreement | Disagreement | LogDamaged | database.WrongRevision
    checkpoints: Checked | Disagreement | Unreplayable

    @property
    def ok(self) -> bool:
        """Whether all of it holds."""
        return (
            isinstance(self.chain, Verified)
            and isinstance(self.views, Agreement)
            and isinstance(self.checkpoints, Checked)
        )


def report(path: Path, anchors: Iterable[Anchor] = ()) -> Report:
    """Look at everything, whatever else was found to be wrong; a daemon may be running."""
    found: Verified | ChainBroken | AnchorMissed
    views: Agreement | Disagreement | LogDamaged | database.WrongRevision
    try:
        found = chain.verify(path, anchors)
    except (ChainBroken, AnchorMissed) as broken:
        found = broken
    try:
        views = verify(path)
    except (Disagreement, LogDamaged, database.WrongRevision) as wrong:
        views = wrong
    except (sqlite3.Error, LogFailed) as error:
        views = LogDamaged(f"the views cannot be compared: {error}")
    return Report(chain=found, views=views, checkpoints=_checkpoints(path))


def _checkpoints(path: Path) -> Checked | Disagreement | Unreplayable:
    try:
        return verify_checkpoints(path)
    except (Disagreement, Unreplayable) as wrong:
        return wrong
    except BadStore as bad:
        return Disagreement(str(bad))


def verify_checkpoints(path: Path) -> Checked:
    """Fold a log anew up to its latest checkpoint, and compare with each on the way; nothing is written.

    Those of another release's folds are none. Raises `Disagreement` with the first difference, `Unreplayable` for a
    log that cannot be read so far, `BadStore` for a file that is none of checkpoints.
    """
    hive, count = Hive(), 0
    with contextlib.closing(Source(path)) as source, contextlib.closing(read_store(path)) as store:
        for end in store.ends():
            kept = next(iter(store.checkpoints(until=end)), None)
            if kept is None or kept.position != end:
                continue
            hive.fold_all(fact for fact, _ in source.steps(hive.position, end))
            try:
                found = kept.hive()
            except BadSnapshot as bad:
                raise Disagreement(str(bad)) from bad
            if kept.hash != source.hash_at(end):
                raise Disagreement(f"the checkpoint at {end} is of another log, or of one that went on otherwise")
            for name, rows in hive.rows.items():
                if list(found.rows[name].items()) != list(rows.items()):
                    raise Disagreement(f"the checkpoint at {end}: its {name} are not what the log folds to")
            count += 1
    return Checked(count=count, position=hive.position if count else 0)


def verify(path: Path) -> Agreement:
    """Compare a hive's file with its own log; a daemon may be running, and nothing is written to the file.

    Raises `Disagreement` with the first difference, `LogDamaged` for facts that cannot be read, `WrongRevision` for a
    file of another release, and for one that is no hive's.
    """
    current, head = database.current_revision(path), database.head_revision()
    if current != head:
        raise database.WrongRevision(f"{path} is at revision {current or 'none'}, and this release folds {head}")
    found = read_only(path)
    found.execute("BEGIN")  # one snapshot for log and tables
    try:
        stale = mirror.stale(found)
        if stale is not None:
            raise Disagreement(f"{stale}; a start of the daemon folds it anew")
        with tempfile.TemporaryDirectory(prefix="hyperhive-verify-") as directory:
            folded = _scratch(Path(directory) / "folded.sqlite")
            hive = mirror.rebuild(folded, source=found)
            rows = {projection.name: _compare(projection, folded, found) for projection in PROJECTIONS}
            folded.close()
    finally:
        found.close()
    return Agreement(position=hive.position, rows=rows)


def _scratch(path: Path) -> sqlite3.Connection:
    engine = create_engine(f"sqlite:///{path}")
    mirror.metadata.create_all(engine)
    engine.dispose()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    return connection


def _compare(projection: Projection, folded: sqlite3.Connection, found: sqlite3.Connection) -> int:
    columns = mirror.quoted((*projection.fields, "is_open"))
    sql = f"SELECT {columns} FROM {projection.name} ORDER BY {mirror.quoted(projection.order)}"  # noqa: S608 - ours
    count = 0
    for expected, actual in zip_longest(folded.execute(sql), found.execute(sql)):
        if expected != actual:
            row = expected or actual
            key = [row[projection.fields.index(name)] for name in projection.key]
            raise Disagreement(
                f"{projection.name}, row {key!r}: the log folds to {expected!r}, the table has {actual!r}"
            )
        count += 1
    return count
