"""Removing what an agent wrote: whatever it is, whatever is swapped meanwhile, and nothing else."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyperhive.wipe import WipeStopped, wipe

MANY = 300


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data directory with an agent, and beside it something that must never be touched."""
    (tmp_path / "treasure" / "chest").mkdir(parents=True)
    (tmp_path / "treasure" / "gold").write_text("gold")
    (tmp_path / "treasure" / "chest" / "gold").write_text("gold")
    (tmp_path / "data" / "agents" / "coder").mkdir(parents=True)
    return tmp_path / "data"


def is_whole(root: Path) -> bool:
    """Whether nothing outside was touched."""
    treasure = root.parent / "treasure"
    found = sorted(str(path.relative_to(treasure)) for path in treasure.rglob("*"))
    return found == ["chest", "chest/gold", "gold"] and (treasure / "chest" / "gold").read_text() == "gold"


def bury(top: Path, depth: int) -> None:
    """Make directories inside each other, deeper than any path may be long."""
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(top)
        for _ in range(depth):
            Path("deeper-and-deeper").mkdir()
            os.chdir("deeper-and-deeper")
    finally:
        os.fchdir(before)
        os.close(before)


class TestTrees:
    """What an agent may have left."""

    def test_nothing(self, root: Path) -> None:
        """Nothing there is a success, at any depth."""
        wipe(root, "agents", "nobody")
        wipe(root, "applied", "nobody")
        wipe(root.parent / "nowhere", "agents", "coder")

    def test_all_kinds(self, root: Path) -> None:
        """Files, directories without any rights, pipes, sockets' places, links of every kind, odd names."""
        top = root / "agents" / "coder"
        treasure = root.parent / "treasure"
        (top / "state" / "closed" / "inner").mkdir(parents=True)
        (top / "state" / "closed" / "inner" / "file").write_text("x")
        (top / "state" / "to-directory").symlink_to(treasure)
        (top / "state" / "to-file").symlink_to(treasure / "gold")
        (top / "state" / "to-nowhere").symlink_to("/nowhere")
        (top / "state" / "to-itself").symlink_to("to-itself")
        (top / "state" / "hard").hardlink_to(treasure / "gold")
        os.mkfifo(top / "state" / "pipe")
        for name in (".wiped-0", ".wiped-1", "new\nline", "-rf", " ", "x" * 255):
            (top / name).mkdir()
            (top / name / ".wiped-0").write_text("x")
        (top / ".wiped-2").write_text("x")
        (top / os.fsdecode(b"not-\xff-utf-8")).write_text("x")
        (top / "state" / "closed" / "inner").chmod(0)
        (top / "state" / "closed").chmod(0)
        wipe(root, "agents", "coder")
        assert list((root / "agents").iterdir()) == []
        assert is_whole(root)
        assert (treasure / "gold").stat().st_nlink == 1

    def test_deeper_than_a_path(self, root: Path) -> None:
        """A depth at which no path and no number of open files would do."""
        bury(root / "agents" / "coder", 1_500)
        wipe(root, "agents", "coder")
        assert list((root / "agents").iterdir()) == []

    def test_top_is_a_link(self, root: Path) -> None:
        """A top that is a symlink is refused with its path, and neither followed nor removed."""
        top = root / "agents" / "coder"
        top.rmdir()
        top.symlink_to(root.parent / "treasure")
        with pytest.raises(NotADirectoryError, match=rf"a symlink is not followed; move it away: '{top}'"):
            wipe(root, "agents", "coder")
        assert top.is_symlink()
        assert is_whole(root)

    def test_link_on_the_way(self, root: Path) -> None:
        """So is one on the way there."""
        shutil.rmtree(root / "agents")
        (root / "agents").symlink_to(root.parent / "treasure")
        with pytest.raises(NotADirectoryError, match=rf"'{root / 'agents'}'"):
            wipe(root, "agents", "chest")
        assert is_whole(root)

    def test_root_behind_a_link(self, root: Path) -> None:
        """The root itself is trusted, and may be reached through a link, as /run often is."""
        (root.parent / "link").symlink_to(root)
        wipe(root.parent / "link", "agents", "coder")
        assert list((root / "agents").iterdir()) == []

    @pytest.mark.parametrize("where", ["", "state", "state/a/b"])
    def test_mount(self, root: Path, where: str) -> None:
        """What is mounted inside is somebody else's: it is named, and nothing in it is touched."""
        at = root / "agents" / "coder" / where
        at.mkdir(parents=True, exist_ok=True)
        with mounted(root.parent / "treasure", at, inside=root):
            with pytest.raises(OSError, match="something is mounted there; unmount it first"):
                wipe(root, "agents", "coder")
            assert is_whole(root)
        wipe(root, "agents", "coder")
        assert is_whole(root)


class TestInterrupted:
    """A removal that did not come to its end."""

    def test_told_to_stop(self, root: Path) -> None:
        """It stops at once where it is told to, and the next one goes on to the end."""
        top = root / "agents" / "coder"
        for number in range(MANY):
            (top / f"d{number}" / "inner").mkdir(parents=True)
        looks = iter(range(MANY * 10))
        with pytest.raises(WipeStopped):
            wipe(root, "agents", "coder", stopped=lambda: next(looks) == MANY)
        assert 0 < len(list(top.glob("d*"))) < MANY
        wipe(root, "agents", "coder")
        assert not top.exists()

    def test_two_at_once(self, root: Path) -> None:
        """Two that meet in one tree both come to its end."""
        top = root / "agents" / "coder"
        for number in range(MANY):
            (top / f"d{number}" / "inner").mkdir(parents=True)
            (top / f"d{number}" / "inner" / "file").write_text("x")
        other = threading.Thread(target=wipe, args=(root, "agents", "coder"))
        other.start()
        wipe(root, "agents", "coder")
        other.join()
        assert not top.exists()


class TestSwapped:
    """Somebody exchanges things while they are removed."""

    def test_directories_for_links(self, root: Path) -> None:
        """Whatever is exchanged for a link to somewhere else, nothing there is touched."""
        top = root / "agents" / "coder"
        treasure = root.parent / "treasure"
        for number in range(MANY):
            (top / f"d{number}" / "inner").mkdir(parents=True)
            (top / f"d{number}" / "inner" / "gold").write_text("x")

        def swap(number: int) -> None:
            here = top / f"d{number}"
            here.rename(top / f"moved{number}")
            here.symlink_to(treasure)
            inner = top / f"moved{number}" / "inner"
            inner.rename(top / f"inner{number}")
            inner.symlink_to(treasure / "chest")

        with busy(swap):
            for _ in range(100):
                try:
                    wipe(root, "agents", "coder")
                except OSError:
                    continue
                break
        wipe(root, "agents", "coder")
        assert is_whole(root)
        assert not os.path.lexists(top)

    def test_top_for_a_link(self, root: Path) -> None:
        """A top that becomes a link on the way is not removed in its target's place."""
        top = root / "agents" / "coder"
        for number in range(MANY):
            (top / f"f{number}").touch()
        looks = iter(range(MANY * 10))

        def swapped() -> bool:
            if next(looks) == MANY // 2:
                top.rename(root / "agents" / "away")
                top.symlink_to(root.parent / "treasure")
            return False

        with pytest.raises(NotADirectoryError):
            wipe(root, "agents", "coder", stopped=swapped)
        assert is_whole(root)
        assert top.is_symlink()

    def test_grows_while_it_goes(self, root: Path) -> None:
        """What is added meanwhile goes, too."""
        top = root / "agents" / "coder"
        (top / "d").mkdir()
        added = iter(range(50))

        def add() -> bool:
            number = next(added, None)
            if number is not None:
                (top / f"new{number}" / "inner").mkdir(parents=True)
            return False

        wipe(root, "agents", "coder", stopped=add)
        assert not top.exists()


@contextmanager
def mounted(what: Path, at: Path, *, inside: Path) -> Iterator[None]:
    """Bind a directory to a place inside of a tree, or skip."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    done = subprocess.run(["mount", "--bind", what, at], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        # What is removed moves, and what is mounted in it moves along.
        (there,) = [
            line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(inside) in line
        ]
        subprocess.run(["umount", there], check=True)


@contextmanager
def busy(swap: Callable[[int], None]) -> Iterator[None]:
    """Swap one thing after the other in a thread of its own; what is gone already is left."""

    def work() -> None:
        for number in range(MANY):
            try:
                swap(number)
            except OSError:
                continue

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_modes_outside_stay(root: Path) -> None:
    """To get into a directory without rights changes the rights of nothing else."""
    treasure = root.parent / "treasure"
    treasure.chmod(0o500)
    (root / "agents" / "coder" / "link").symlink_to(treasure)
    wipe(root, "agents", "coder")
    assert stat.S_IMODE(treasure.stat().st_mode) == 0o500
    treasure.chmod(0o700)
