"""``hyperhive demo`` beside hives of one's own; its story is played in tests/hive/test_story.py."""

from __future__ import annotations

import pytest

from tests.cli.program import Program


@pytest.mark.parametrize("before", [True, False])
def test_takes_nobody_elses_hive(hyperhive: Program, *, before: bool) -> None:
    """Where there is a hive already the demo does not begin, and says what would be right."""
    hyperhive.data.mkdir()
    database = hyperhive.data / "hive.sqlite"
    database.write_bytes(b"somebody's")
    where = ("--data-dir", str(hyperhive.data))
    ended = hyperhive(*where, "demo") if before else hyperhive("demo", *where)
    assert (ended.code, ended.out) == (4, "")
    assert f"there is a hive in {hyperhive.data}" in ended.err
    assert "name an empty directory" in ended.err
    assert database.read_bytes() == b"somebody's"
