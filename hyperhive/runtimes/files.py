"""Files that running containers see, or are built from."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from hyperhive import handles

_KEEPING = ".git"


def keep(path: Path, content: bytes) -> None:
    """Write a file whole where it is not so already, never in place: who has it mounted keeps the old one."""
    if not path.exists() or path.read_bytes() != content:
        partial = path.with_name(f"{path.name}.part")
        partial.write_bytes(content)
        partial.replace(path)


def make_directory(tree: Path, *path: str, mode: int | None = None) -> None:
    """Make a directory in a tree that somebody untrusted has made, whose links are not followed but replaced.

    ``mode`` is given to what is there already, too.
    """
    for depth, name in enumerate(path):
        with handles.below(tree, *path[:depth]) as parent:
            with suppress(FileNotFoundError):
                if stat.S_ISDIR(handles.status(parent, name).st_mode):
                    continue
                os.unlink(name, dir_fd=parent)
            os.mkdir(name, dir_fd=parent)
            os.chmod(name, 0o755, dir_fd=parent)  # noqa: S103 - whoever runs in there has to get through
    if mode is not None:
        with handles.below(tree, *path) as directory:
            Path(f"/proc/self/fd/{directory}").chmod(mode)


def make_link(tree: Path, *path: str, target: str) -> None:
    """Make a link in such a tree, where nothing has its name."""
    *parents, name = path
    make_directory(tree, *parents)
    with handles.below(tree, *parents) as directory, suppress(FileExistsError):
        os.symlink(target, name, dir_fd=directory)


def copy_sources(directory: Path | None, target: Path) -> None:
    """Copy what a container is built from, in the place of what was there, without the host's own keeping of it.

    Where there is nothing the copy is empty.

    A copy of `.git` would tell every reader of an image or of a store what was proposed and never approved.
    """
    shutil.rmtree(target, ignore_errors=True)
    if directory is None or not directory.is_dir():
        target.mkdir()
    else:
        shutil.copytree(directory, target, symlinks=True, ignore=shutil.ignore_patterns(_KEEPING))
