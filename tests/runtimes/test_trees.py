"""Trees of images: one at a time, whole or not at all, and removed once nobody needs them."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hyperhive.runtimes import files, trees
from hyperhive.runtimes.images import stale
from hyperhive.runtimes.oci import APPLIED_LABEL
from hyperhive.wipe import WipeStopped
from tests.runtimes.home import until

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)


def tree(place: Path, name: str) -> Path:
    """Make a tree with something in it."""
    (place / name / "usr").mkdir(parents=True)
    (place / name / "usr/file").write_text(name)
    return place / name


def inside(directory: Path) -> set[str]:
    """Return what lies in a directory."""
    return {path.name for path in directory.iterdir()}


def discard(place: Path, keep: Collection[str]) -> set[str]:
    """Give up the others, and remove them."""
    used = trees.set_aside(place, keep)
    trees.sweep(place)
    return used


@contextmanager
def mounted(source: Path, target: Path) -> Iterator[None]:
    """Mount a tree in a namespace of its own, which nobody outside sees."""
    argv = ["unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)), "sh", "-c"]
    holder = subprocess.Popen(
        (*argv, 'mount --bind "$0" "$1" && echo mounted && read -r end', str(source), str(target)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    try:
        if holder.stdout.readline() != b"mounted\n":
            pytest.skip("this user may not mount anything in a namespace of its own")
        yield
    finally:
        holder.communicate()


class TestDiscard:
    """What goes and what stays."""

    def test_what_nobody_needs(self, tmp_path: Path) -> None:
        """Trees that are neither kept nor mounted go; what is no tree is left alone, a half removed one is not."""
        for name in (ONE, TWO, f"{THREE}.gone", f"{THREE}.part", "notes"):
            tree(tmp_path, name)
        assert discard(tmp_path, {TWO}) == set()
        assert inside(tmp_path) == {TWO, f"{THREE}.part", "notes"}

    def test_what_is_mounted(self, tmp_path: Path) -> None:
        """One that somebody has mounted, wherever, stays until then."""
        tree(tmp_path, ONE)
        (tmp_path / "there").mkdir()
        with mounted(tmp_path / ONE, tmp_path / "there"):
            assert discard(tmp_path, ()) == {ONE}
            assert (tmp_path / ONE / "usr/file").read_text() == ONE
        assert discard(tmp_path, ()) == set()
        assert not (tmp_path / ONE).exists()

    def test_links_are_not_followed(self, tmp_path: Path) -> None:
        """Links in a tree, or in the place of one, lead nowhere."""
        treasure = tree(tmp_path / "elsewhere", "treasure")
        place = tmp_path / "place"
        (tree(place, ONE) / "etc").symlink_to(treasure)
        (place / TWO).symlink_to(treasure)
        with pytest.raises(NotADirectoryError):
            discard(place, ())
        assert (treasure / "usr/file").exists()
        (place / f"{TWO}.gone").unlink(missing_ok=True)
        (place / TWO).unlink(missing_ok=True)
        discard(place, ())
        assert inside(place) == set()
        assert (treasure / "usr/file").exists()

    def test_no_place(self, tmp_path: Path) -> None:
        """Where nothing was ever laid out there are no others."""
        assert trees.others(tmp_path / "nowhere", ()) == set()
        assert not trees.untidy(tmp_path / "nowhere", ())

    def test_an_interrupted_sweep(self, tmp_path: Path) -> None:
        """What is told to stop leaves a rest that counts as untidy, and the next one goes on with it."""
        tree(tmp_path, ONE)
        trees.set_aside(tmp_path, ())
        with pytest.raises(WipeStopped):
            trees.sweep(tmp_path, lambda: True)
        assert trees.untidy(tmp_path, ())
        trees.sweep(tmp_path)
        assert not trees.untidy(tmp_path, ())

    def test_beside_other_work(self, tmp_path: Path) -> None:
        """A sweep of its own ends without anybody waiting for it."""
        tree(tmp_path, ONE)
        trees.set_aside(tmp_path, ())

        async def story() -> None:
            sweeper = trees.Sweeper()
            sweeper.sweep(tmp_path)
            sweeper.sweep(tmp_path)
            await until(lambda: not trees.untidy(tmp_path, ()))

        asyncio.run(story())


def test_one_at_a_time(tmp_path: Path) -> None:
    """Who is alone in a place is so before all others, of this process too."""
    told = []

    async def one(name: str, go: asyncio.Event) -> None:
        await go.wait()
        async with trees.alone(tmp_path):
            told.append(f"{name} in")
            await asyncio.sleep(0)
            told.append(f"{name} out")

    async def story() -> None:
        first, second = asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(one("a", first)), asyncio.create_task(one("b", second))]
        async with trees.alone(tmp_path):
            first.set()
            second.set()
            for _ in range(3):
                await asyncio.sleep(0)
            assert told == []
        await asyncio.gather(*tasks)

    asyncio.run(story())
    assert [line.split()[1] for line in told] == ["in", "out", "in", "out"]


def test_a_partial_tree_is_empty(tmp_path: Path) -> None:
    """What an unpacking that was cut off has left is not part of the next one."""
    tree(tmp_path, f"{ONE}.part")
    assert inside(trees.partial(tmp_path / ONE)) == set()


class TestDirectoriesOfImages:
    """An image's own links lead nowhere while a tree is made ready."""

    def test_replaced(self, tmp_path: Path) -> None:
        """Where an image has a link instead of a directory, it gets a directory; the link's end stays as it was."""
        outside = tmp_path / "outside"
        outside.mkdir(mode=0o700)
        root = tree(tmp_path, ONE)
        for name in ("tmp", "run"):
            (root / name).symlink_to(outside)
        files.make_directory(root, "tmp", mode=0o1777)
        files.make_directory(root, "run", "hyperhive", mode=0o755)
        files.make_link(root, "run", "venv", target="/opt/venv")
        assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
        assert (root / "run/venv").readlink() == Path("/opt/venv")
        assert inside(outside) == set()
        assert outside.stat().st_mode & 0o7777 == 0o700

    def test_a_link_that_is_there(self, tmp_path: Path) -> None:
        """What has the name already stays."""
        (tmp_path / "venv").mkdir()
        files.make_link(tmp_path, "venv", target="/opt/venv")
        assert (tmp_path / "venv").is_dir()
        assert not (tmp_path / "venv").is_symlink()


class TestStale:
    """Which of podman's images are to go."""

    def test_bases(self) -> None:
        """Bases of other releases go, by their names; this one's and the name that configurations build on stay."""
        base = "localhost/hyperhive-base"
        listed: list[dict[str, Any]] = [
            {"Id": "a", "Names": [f"{base}:old", f"{base}:new", f"{base}:latest"], "Labels": None},
            {"Id": "b"},
        ]
        assert list(stale(listed, f"{base}:new")) == [f"{base}:old"]

    def test_agents(self, tmp_path: Path) -> None:
        """An agent's goes with its Containerfile, an earlier one of its once it has no name; nobody else's ever."""
        (tmp_path / "coder").mkdir()
        (tmp_path / "coder/Containerfile").touch()
        name = "localhost/hyperhive-agent-coder:hive"
        kept, gone = ({APPLIED_LABEL: str(tmp_path / agent)} for agent in ("coder", "gone"))
        listed: list[dict[str, Any]] = [
            {"Id": "a", "Names": [name], "Labels": kept},
            {"Id": "b", "Names": [name], "Labels": gone},
            {"Id": "c", "Names": [name], "Labels": {}},
            {"Id": "d", "Labels": kept},
            {"Id": "e", "Names": ["localhost/mine"], "Labels": gone},
        ]
        assert list(stale(listed, "base")) == [name, "d"]
        shutil.rmtree(tmp_path / "coder")
        assert list(stale(listed[:1], "base")) == [name]
