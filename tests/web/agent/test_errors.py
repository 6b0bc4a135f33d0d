"""Counting a stream's errors."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hyperhive.events.stream_reading import StreamReader
from hyperhive.events.stream_store import StreamStore
from hyperhive.web.agent.errors import PAGE_EVENTS, Errors
from tests.web.agent.said import assistant, result, text

FAILED = {"type": "user", "data": result("t", "no", failed=True)}
FINE = {"type": "assistant", "data": assistant(text("fine"))}


def test_all_that_is_kept(tmp_path: Path) -> None:
    """Errors on pages that nobody has loaded count; what is trimmed or wiped does not."""
    path, errors = tmp_path / "s", Errors()
    assert errors.count(StreamReader(path)) == 0
    with contextlib.closing(StreamStore(path)) as store:
        store.append("r", 0, [FAILED, *[FINE] * (2 * PAGE_EVENTS), FAILED])
        assert errors.count(StreamReader(path)) == 2
        store.append("r", 2 * PAGE_EVENTS + 2, [FINE, FAILED])
        assert errors.count(StreamReader(path)) == 3
        store.trim(before=0, keep=PAGE_EVENTS)
        assert errors.count(StreamReader(path)) == 2
    path.unlink()
    with contextlib.closing(StreamStore(path)) as store:
        store.append("r", 0, [FAILED])
    assert errors.count(StreamReader(path)) == 1
