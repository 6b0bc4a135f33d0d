"""A new database beside the one in place: made and checked there, then put in its place in one step, or thrown away."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from hyperhive.events.log import LogFailed, connect, read_only
from hyperhive.projections import database, mirror
from hyperhive.projections.hive import Hive

_BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database; from another one it would be taken for this one's."""


class NotEmpty(Exception):  # noqa: N818
    """A hive is there already."""

    code = "conflict"


class Unfoldable(Exception):  # noqa: N818
    """Facts with a chain that holds, which no hive could have."""

    code = "failed"


@contextlib.contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Give the path of a file to make, beside ``path``; what is still there at the end is removed."""
    new = path.with_name(f".{path.name}.unfinished")
    _remove(new)
    try:
        yield new
    finally:
        _remove(new)


def place(new: Path, path: Path, *, aside: Path | None = None) -> None:
    """Put a finished and closed database into the place of another, durably; that one becomes ``aside``.

    Whoever holds the data directory's lock may do it. At every moment ``path`` is one or the other, whole.
    """
    _sync(new)
    if path.exists():
        _take_in(path)
        for suffix in _BESIDE:  # only of one that cannot be read are there still any
            beside = path.with_name(path.name + suffix)
            if beside.exists() and aside is not None:
                beside.rename(aside.with_name(aside.name + suffix))
            beside.unlink(missing_ok=True)
        if aside is not None:
            os.link(path, aside)
    new.replace(path)
    _sync(path.parent)


def fold_anew(connection: sqlite3.Connection) -> Hive:
    """Fold the views of a new database from its facts, whatever its tables held; raises `Unfoldable`, `LogDamaged`."""
    try:
        return mirror.rebuild(connection)
    except LogFailed as failure:
        if isinstance(failure.__cause__, sqlite3.Error):
            raise
        reason = repr(failure.__cause__)
        raise Unfoldable(f"the chain holds, but its facts do not follow from each other: {reason}") from failure


def facts_in(path: Path) -> int:
    """Count the facts of a hive's file, 0 where there is none; raises `WrongRevision` for what is not a hive's."""
    if database.current_revision(path) is None:
        return 0
    connection = read_only(path)
    try:
        return int(connection.execute("SELECT coalesce(max(position), 0) FROM facts").fetchone()[0])
    finally:
        connection.close()


def _take_in(path: Path) -> None:
    """Let a daemon that was killed leave nothing outside of its file: the last to close it takes the rest in."""
    with contextlib.suppress(Exception):
        connection = connect(path)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()


def _remove(path: Path) -> None:
    for suffix in ("", *_BESIDE):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stand_alone(connection: sqlite3.Connection) -> None:
    """Let a copy be one file, which can be read from a directory that nobody may write to."""
    connection.execute("PRAGMA journal_mode=DELETE")
