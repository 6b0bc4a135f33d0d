"""Files that running containers see, or are built from."""

from __future__ import annotations

import shutil
from pathlib import Path

_KEEPING = ".git"


def keep(path: Path, content: bytes) -> None:
    """Write a file whole where it is not so already, never in place: who has it mounted keeps the old one."""
    if not path.exists() or path.read_bytes() != content:
        partial = path.with_name(f"{path.name}.part")
        partial.write_bytes(content)
        partial.replace(path)


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
