"""Measuring what an agent wrote: within bounds, and no further than its own tree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hyperhive.homes import measure as module
from hyperhive.homes.measure import measure

BLOCK = 1024 * 1024


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data directory with a state directory."""
    (tmp_path / "agents" / "coder" / "state").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def state(root: Path) -> Path:
    """The state directory."""
    return root / "agents" / "coder" / "state"


def size(root: Path) -> int:
    """Return the size that is found."""
    found = measure(root, "agents", "coder", "state")
    assert found is not None
    assert found.whole
    return found.size_bytes


def write(path: Path) -> None:
    """Write a file of one block, which the disk really holds."""
    with path.open("wb") as opened:
        opened.write(os.urandom(BLOCK))
        opened.flush()
        os.fsync(opened.fileno())


def test_grows_with_its_files(root: Path, state: Path) -> None:
    """What files take on disk is counted, at any depth."""
    empty = size(root)
    (state / "a" / "b").mkdir(parents=True)
    write(state / "one")
    write(state / "a" / "b" / "two")
    assert 2 * BLOCK <= size(root) - empty < 3 * BLOCK


def test_what_takes_no_room(root: Path, state: Path) -> None:
    """A file of nothing but holes, and a second link to a file, free nothing: they are not counted."""
    write(state / "one")
    before = size(root)
    (state / "again").hardlink_to(state / "one")
    with (state / "holes").open("wb") as opened:
        opened.truncate(2**40)
    assert size(root) - before < BLOCK


def test_follows_no_link(root: Path, state: Path) -> None:
    """What a link leads to is not the agent's; a state that is a link itself is none."""
    write(root / "elsewhere")
    before = size(root)
    (state / "file").symlink_to(root / "elsewhere")
    (state / "directory").symlink_to(root)
    (state / "itself").symlink_to("itself")
    assert size(root) - before < BLOCK
    (root / "agents" / "linked").mkdir()
    (root / "agents" / "linked" / "state").symlink_to(state)
    assert measure(root, "agents", "linked", "state") is None


def test_nothing(root: Path) -> None:
    """Where there is no tree there is nothing to measure."""
    assert measure(root, "agents", "nobody", "state") is None
    assert measure(root / "nowhere", "agents", "coder", "state") is None


def test_last_modified(root: Path, state: Path) -> None:
    """The newest change of anything inside counts, and that of a link's target does not."""
    (state / "a").mkdir()
    (state / "a" / "file").touch()
    (state / "link").symlink_to(root / "elsewhere")
    (root / "elsewhere").touch()
    os.utime(root / "elsewhere", (3_000, 3_000))
    os.utime(state / "link", (10, 10), follow_symlinks=False)
    for path, at in ((state / "a" / "file", 1_000), (state / "a", 20), (state, 30)):
        os.utime(path, (at, at))
    found = measure(root, "agents", "coder", "state")
    assert found is not None
    assert found.modified_at == 1_000


def test_bounds(root: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree that is too large, too deep, or not ours to look into is counted in part, and says so."""
    (state / "a" / "b" / "c").mkdir(parents=True)
    for number in range(20):
        (state / f"f{number}").touch()
    whole = measure(root, "agents", "coder", "state")
    assert whole is not None
    assert whole.whole
    for name, bound in (("MAX_ENTRIES", 10), ("MAX_DEPTH", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, bound)
            part = measure(root, "agents", "coder", "state")
        assert part is not None
        assert (part.whole, part.size_bytes <= whole.size_bytes) == (False, True)


def test_told_to_stop(root: Path, state: Path) -> None:
    """It stops where it is told to."""
    for number in range(20):
        (state / f"f{number}").touch()
    looks = iter(range(100))
    found = measure(root, "agents", "coder", "state", stopped=lambda: next(looks) == 5)
    assert found is not None
    assert not found.whole
    assert next(looks) == 6
