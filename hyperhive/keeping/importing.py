"""Makes a hive of an exported log: the same facts with the same hashes, and every view folded from them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import attrs

from hyperhive.config import Directories
from hyperhive.daemon.alone import alone
from hyperhive.events import exchange
from hyperhive.events.exchange import BadExport
from hyperhive.events.log import Log, connect
from hyperhive.keeping.staging import NotEmpty, facts_in, fold_anew, place, staged
from hyperhive.projections import database

_BATCH = 2_000


@attrs.frozen(kw_only=True)
class Imported:
    """What was imported."""

    count: int
    head: str
    redacted: bool


def import_log(opened: BinaryIO, directories: Directories) -> Imported:
    """Read a whole export into an empty data directory; all of it, or nothing.

    Raises `BadExport` with the line, `Unfoldable`, `NotEmpty` where a hive is there, `AnotherDaemon` where one runs.
    """
    directories.create_data()
    with alone(directories.lock_file, "--data-dir"), staged(directories.hive_db) as new:
        if found := facts_in(directories.hive_db):
            raise NotEmpty(f"{directories.data} holds a hive of {found} facts; import into an empty --data-dir")
        reading = exchange.Reading(opened)
        header = reading.header
        if header.first != 1:
            raise BadExport(1, f"the export begins at position {header.first}, and a hive needs its past from 1 on")
        database.upgrade(new)
        head = _fill(new, reading.rows())
        place(new, directories.hive_db)
    return Imported(count=header.last, head=head, redacted=header.redacted)


def _fill(new: Path, rows: Iterator[exchange.Row]) -> str:
    log = Log(connect(new))
    connection = log.connection
    try:
        # The file is thrown away unless all goes well: no journal, and one sync at the end.
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        while batch := list(itertools.islice(rows, _BATCH)):
            for row in batch:
                log.adopt(row)
            log.commit()
        fold_anew(connection)
        return log.head.hash.hex()
    finally:
        log.close()
