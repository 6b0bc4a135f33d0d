"""Copies the database while a daemon writes, and makes a hive of such a copy again.

The log and the views alone: what agents keep in ``/state``, their turn streams and their configurations are files of
their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
import time
from pathlib import Path

import attrs

from hyperhive.commands.daemon import RecordRestore
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.config import Directories
from hyperhive.daemon.alone import alone
from hyperhive.events import chain
from hyperhive.events.chain import Verified
from hyperhive.events.envelope import OPERATOR
from hyperhive.events.log import Log, connect, read_only
from hyperhive.keeping.carrying import segments_in, segments_out
from hyperhive.keeping.staging import facts_in, fold_anew, place, staged, stand_alone
from hyperhive.projections import database
from hyperhive.projections.identity import mark_of
from hyperhive.runtimes import marks


class Unusable(Exception):  # noqa: N818
    """A file that is no backup, or a place where none can be made."""

    code = "failed"


class AgentsLive(Exception):  # noqa: N818
    """Agents of the hive that would be replaced are still running."""

    code = "conflict"


@attrs.frozen(kw_only=True)
class Restored:
    """A hive that goes on from a backup."""

    position: int
    """Where the backup ended."""
    head: str
    epoch: str
    aside: Path | None
    """The database that was there before."""


def backup(source: Path, target: Path) -> Verified:
    """Write one consistent moment of a hive's database to a new file (0600), and verify the copy's chain.

    A daemon may be running, and is not held up. Raises `Unusable`, `WrongRevision`, `ChainBroken`, `LogDamaged`; then
    there is no file.
    """
    if target.exists():
        raise Unusable(f"{target} is there already; a backup replaces nothing: name a new file")
    if database.current_revision(source) is None:
        raise Unusable(f"{source} holds no hive")
    with staged(target) as new:
        _copy(source, new)
        segments_in(source, new)
        verified = chain.verify(new)
        place(new, target)
    return verified


def restore(file: Path, directories: Directories, *, clock: int | None = None) -> Restored:
    """Let the hive go on from a backup; the database that is there is kept beside it.

    Before anything is replaced, the copy's chain is walked, its facts are read, and its views folded from them. Raises
    `Unusable`, `Unfoldable`, `WrongRevision`, `ChainBroken`, `LogDamaged`, `AgentsLive`, and
    `AnotherDaemon` where one runs.
    """
    revision, newest = database.current_revision(file), database.head_revision()
    if revision is None:
        raise Unusable(f"{file} holds no hive; a backup is what hyperhive backup wrote")
    if revision > newest:
        raise database.WrongRevision(
            f"{file} is at revision {revision}, written by a newer release; this one knows {newest}: upgrade hyperhive"
        )
    directories.create_data()
    path = directories.hive_db
    with alone(directories.lock_file, "--data-dir"), staged(path) as new:
        _check_agents(path)
        _copy(file, new)
        database.upgrade(new)
        segments_in(file, new)
        verified = chain.verify(new)
        segments_out(new, path.parent)
        if not verified.count:
            raise Unusable(f"{file} holds no fact; there is nothing to go on from")
        epoch = secrets.token_hex(8)
        asyncio.run(_begin_epoch(new, epoch, verified, clock or time.time_ns() // 1_000))
        aside = path.with_name(f"{path.name}.before-{epoch}") if _has_facts(path) else None
        place(new, path, aside=aside)
    return Restored(position=verified.count, head=verified.head.hex(), epoch=epoch, aside=aside)


def _copy(source: Path, new: Path) -> None:
    new.touch(mode=0o600)
    with contextlib.closing(read_only(source)) as found, contextlib.closing(sqlite3.connect(new)) as copy:
        try:
            found.backup(copy)
        except sqlite3.DatabaseError as error:
            raise Unusable(f"{source} cannot be copied to {new.parent}: {error}") from error
        stand_alone(copy)


async def _begin_epoch(new: Path, epoch: str, verified: Verified, now: int) -> None:
    """Fold every view anew and append the fact that this is a continuation of its own."""
    log = Log(connect(new))
    with contextlib.closing(log):
        hive = fold_anew(log.connection)
        dispatcher = Dispatcher(log, hive, clock=lambda: now, on_failure=_already_raised)
        command = RecordRestore(actor=OPERATOR, epoch=epoch, position=verified.count, head=verified.head.hex())
        await dispatcher.dispatch(command)
        log.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _already_raised(_failure: Exception) -> None:
    """Leave it to the one answer that is awaited."""


def _has_facts(path: Path) -> bool:
    """Whether something would be lost: also where it cannot be read, which is why one restores."""
    try:
        return facts_in(path) > 0
    except (database.WrongRevision, sqlite3.DatabaseError):
        return path.exists()


def _check_agents(path: Path) -> None:
    """Refuse while agents of the hive in place are running: a restored one would start each a second time."""
    if not _has_facts(path):
        return
    try:
        with contextlib.closing(read_only(path)) as connection:
            mark = mark_of(database.load(connection).identity)
    except (sqlite3.Error, KeyError):
        return  # it cannot be read any more: nothing to look for
    found = marks.scan(mark, believed=lambda _pid: True)
    if found:
        shown = ", ".join(f"{name} (pid {each[0].process.pid})" for name, each in sorted(found.items()))
        raise AgentsLive(f"agents of the hive in {path.parent} are running: {shown}; kill them, then restore")
