"""A thousand changed bytes in a log with an archive: each is found, or it changed nothing that anybody reads.

What may stay unfound, exactly: bytes of the database that hold nothing (the rest of a page, a counter of SQLite's own),
and tables that are no part of the log. The test reads every value of every table of the log, with its type, and the
view in full; where one of them differs, or cannot be read, the damage must be found. A segment has no such bytes: any
change of one is found.
"""

from __future__ import annotations

import contextlib
import random
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from hyperhive.events import chain, segments
from hyperhive.events.log import read, read_only
from tests.events.archived import archive, small, write

__all__ = ["small"]

COUNT, ARCHIVED = 60, 30
FLIPS = 1_000
_SAID = re.compile(
    r"broken at position (\d+): .*; what is before \1 is whole(?:, and what is after (\d+) can be read)?$", re.DOTALL
)


@pytest.fixture
def place(hive_db: Path, small: None) -> Path:  # noqa: ARG001 - for its effect
    """Return the directory of a log with an archive: database and segments, nothing else."""
    write(hive_db, COUNT).close()
    archive(hive_db, ARCHIVED)
    return hive_db.parent


def content(path: Path) -> object:
    """Return all values of the log's tables and of its view, or None where not all can be read."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.text_factory = lambda raw: ("text", raw)
    try:
        tables = ("facts", "streams", "names", "segments", "events")
        rows = [connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables]  # noqa: S608
        sql = "SELECT name, sql FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY name"
        return [*rows, connection.execute(sql).fetchall()]
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    finally:
        connection.close()


def facts(path: Path, after: int, until: int) -> list[Any]:
    """Return facts as any reader gets them."""
    with contextlib.closing(read_only(path)) as connection:
        return list(read(connection, after=after, until=until))


def flips(files: list[Path]) -> list[tuple[Path, int, int]]:
    """Return a thousand places: half in segments, half in the database, mostly in pages of the log."""
    chance = random.Random(20_261_122)
    with contextlib.closing(sqlite3.connect(files[0])) as connection:
        sql = "SELECT pgoffset, pgsize FROM dbstat WHERE name IN ('facts', 'streams', 'names', 'segments')"
        pages = connection.execute(sql).fetchall()
    chosen = []
    for number in range(FLIPS):
        file = files[0] if number % 2 else chance.choice(files[1:])
        begin, size = (0, file.stat().st_size) if number % 4 != 1 else chance.choice(pages)
        chosen.append((file, begin + chance.randrange(size), 1 << chance.randrange(8)))
    return chosen


def verified(path: Path) -> chain.ChainBroken | None:
    """Return what is wrong with a log."""
    try:
        chain.verify(path)
    except chain.ChainBroken as broken:
        return broken
    return None


def test_thousand_bytes(place: Path) -> None:
    """Each changed byte is found or changed nothing; a message names the position, and what it says is readable is."""
    database = place / "hive.sqlite"
    files = [database, *sorted((place / segments.DIRECTORY).iterdir())]
    before, whole = content(database), facts(database, 0, COUNT)
    found = harmless = 0
    for file, at, bit in flips(files):
        original = file.read_bytes()
        damaged = bytearray(original)
        damaged[at] ^= bit
        file.write_bytes(damaged)
        name = f"bit {bit} of byte {at} of {file.name}"
        broken = verified(database)
        if broken is not None:
            found += 1
            said = _SAID.search(str(broken))
            assert said is not None, f"{name}: {broken}"
            if file is not database:
                position, after = int(said[1]), int(said[2])
                assert facts(database, 0, position - 1) == whole[: position - 1], name
                assert facts(database, after, COUNT) == whole[after:], name
        else:
            harmless += 1
            assert file is database, f"{name} was not found"
            assert content(database) == before, f"{name} was not found"
            assert facts(database, 0, COUNT) == whole, f"{name} was not found"
        file.write_bytes(original)
    assert found + harmless == FLIPS
    assert found > FLIPS // 2 + 50, "the damages should hit facts"
    assert harmless > 50, "and also places that hold none"


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_truncated(place: Path, part: float) -> None:
    """A file that was cut off is told, with the position up to which it is whole, whichever it is."""
    database = place / "hive.sqlite"
    before = content(database)
    for file in [database, *sorted((place / segments.DIRECTORY).iterdir())]:
        original = file.read_bytes()
        file.write_bytes(original[: int(len(original) * part)])
        broken = verified(database)
        if broken is None:  # what was cut off the database held no part of the log
            assert file is database
            assert content(database) == before
        else:
            assert _SAID.search(str(broken)) is not None
        file.write_bytes(original)
    assert chain.verify(database).count == COUNT
