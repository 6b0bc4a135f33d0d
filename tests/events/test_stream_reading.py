"""Reading a turn stream while it is being written."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from hyperhive.events.stream_reading import StreamReader
from hyperhive.events.stream_store import StreamStore


def filled(path: Path, count: int) -> StreamReader:
    """Return the reader of a stream of so many events."""
    with contextlib.closing(StreamStore(path)) as store:
        store.append("r", 0, [{"type": "x", "data": {"n": number}} for number in range(count)])
    return StreamReader(path)


def test_pages(tmp_path: Path) -> None:
    """Pages from the end backwards, and what came since, are in order and leave nothing out."""
    reader = filled(tmp_path / "s", 10)
    newest = reader.before(None, 4)
    assert [event.id for event in newest] == [7, 8, 9, 10]
    assert [event.id for event in reader.before(newest[0].id, 4)] == [3, 4, 5, 6]
    assert [event.id for event in reader.after(8, 4)] == [9, 10]
    assert (reader.newest_id(), reader.one(3)) == (10, reader.before(4, 1)[0])
    assert reader.one(11) is None


def test_nothing_there(tmp_path: Path) -> None:
    """No file, a file that is just being made, and what is no file of the host's own have nothing in them."""
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to(filled(tmp_path / "s", 1).path)
    for name in ("none", "empty", "link"):
        reader = StreamReader(tmp_path / name)
        assert (reader.newest_id(), reader.before(None, 9), reader.after(0, 9)) == (0, [], [])


def test_no_stream(tmp_path: Path) -> None:
    """A file that is no database is said to be none."""
    (tmp_path / "odd").write_bytes(b"odd" * 1_000)
    with pytest.raises(sqlite3.DatabaseError):
        StreamReader(tmp_path / "odd").newest_id()
