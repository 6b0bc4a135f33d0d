"""The daemon's background writer of checkpoints."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hyperhive.daemon import remembering
from hyperhive.daemon.remembering import Remembering
from hyperhive.events.hive import HiveFrozen
from hyperhive.replay import store
from hyperhive.replay.past import Past
from hyperhive.replay.store import beside
from tests.replay.stories import BLOCK, Writer, folded, story


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few facts be a block."""
    monkeypatch.setattr(remembering, "BLOCK", BLOCK)
    monkeypatch.setattr(remembering, "open_store", lambda path: store.open_store(path, block=BLOCK))
    monkeypatch.setattr(store, "BYTES_PER_FACT", 1_000_000)


def ends(path: Path) -> list[int]:
    """Return where there are checkpoints."""
    with Past(path) as past:
        return past.ends()


def test_keeps_up(hive_db: Path) -> None:
    """Each tick keeps every block that has become whole, and what it keeps is what the log folds to."""
    head = story(hive_db)["head"]
    writing = Remembering(hive_db)
    asyncio.run(writing.tick())
    assert ends(hive_db) == list(range(BLOCK, head + 1, BLOCK))
    writer = Writer(hive_db)
    for _ in range(2 * BLOCK):
        writer.write(HiveFrozen())
    writer.close()
    asyncio.run(writing.tick())
    writing.close()
    assert len(ends(hive_db)) == (head + 2 * BLOCK) // BLOCK
    with Past(hive_db) as past:
        assert past.hive(past.head).rows == folded(hive_db, past.head).rows


def test_young_hive_has_no_file(hive_db: Path) -> None:
    """Before there is a whole block, nothing is made."""
    writing = Remembering(hive_db)
    asyncio.run(writing.tick())
    writing.close()
    assert not beside(hive_db).exists()


def test_gives_up(hive_db: Path) -> None:
    """Where the file cannot be written, it says so once and leaves the daemon alone."""
    story(hive_db)
    beside(hive_db).mkdir()
    writing = Remembering(hive_db)
    asyncio.run(writing.tick())
    asyncio.run(writing.tick())
    assert writing._ended
    writing.close()


def test_closed_does_nothing(hive_db: Path) -> None:
    """After it was closed a tick that was under way ends."""
    story(hive_db)
    writing = Remembering(hive_db)
    writing.close()
    asyncio.run(writing.tick())
    assert not beside(hive_db).exists()
