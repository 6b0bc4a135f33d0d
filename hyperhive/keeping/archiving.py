"""Archives the log of a hive that nobody runs, and gives the room back."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from hyperhive.config import Directories
from hyperhive.daemon.alone import alone
from hyperhive.events import archiving
from hyperhive.events.log import Log, connect, failure_of
from hyperhive.events.segments import Kept

_WORTH_PAGES = 256
"""A mebibyte, below which it is not worth writing the file anew; later facts fill the room."""


def archive(directories: Directories, until: int) -> Iterator[Kept]:
    """Move facts up to a position into segments, and yield each that is done.

    Raises what `archiving.write` and `Log.leave` raise, and `AnotherDaemon` where one runs.
    """
    with alone(directories.lock_file, "--data-dir"), contextlib.closing(Log(connect(directories.hive_db))) as log:
        count = 0
        while (segment := archiving.write(directories.hive_db, until)) is not None:
            log.leave(segment)
            count += 1
            yield segment
        if count:
            _shrink(log.connection)


def _shrink(connection: sqlite3.Connection) -> None:
    free, pages = (int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("freelist_count", "page_count"))
    if free < _WORTH_PAGES or free * 4 < pages:
        return
    try:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise failure_of(error) from error
