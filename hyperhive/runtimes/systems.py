"""Systems that machines are made of: a directory as it is, or a tarball, which is laid out once for each content."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

from hyperhive import handles
from hyperhive.runtimes import runner, trees
from hyperhive.runtimes.host import SYSTEM
from hyperhive.runtimes.protocol import RuntimeFailed, RuntimeTrouble
from hyperhive.wipe import wipe

UNPACK_SECONDS = 600.0
_SYSTEMD = (("usr", "lib", "systemd", "systemd"), ("lib", "systemd", "systemd"))
"""Where systemd-nspawn looks for what it boots."""
_SYNC = ("sync", "--file-system")


class BadImage(RuntimeTrouble):
    """What is configured as an image is no system that a machine can be made of."""


async def root_of(image: Path, place: Path) -> Path:
    """Return the root directory of an image; a tarball's is laid out below ``place`` where it is not yet.

    Raises `BadImage`: there is nothing, it is no tarball, it holds no systemd or not the Python that is needed.
    """
    digest = await asyncio.to_thread(_digest, image, place)
    if digest is None:
        await asyncio.to_thread(check, image, image)
        return image
    tree = place / digest
    async with trees.alone(place):
        if not await asyncio.to_thread(tree.is_dir):
            await _lay_out(image, tree)
    return tree


def unpack_argv(tarball: Path, directory: Path) -> tuple[str, ...]:
    """Return the command line that unpacks it, with its own owners and modes; what is a device is made by nobody.

    GNU tar makes links that lead out of the directory last, so that nothing is written through one.
    """
    owned = ("--numeric-owner", "--same-owner", "--preserve-permissions")
    named = (f"--file={tarball}", "--force-local", f"--directory={directory}")
    return ("tar", "--extract", *owned, "--exclude=./dev/*", "--exclude=dev/*", *named)


def check(tree: Path, image: Path, python: Path | None = None) -> None:
    """Raise `BadImage` where no machine could be made of a tree, or where hyperhive's Python would not be in it."""
    if not any(_has(tree, *path) for path in _SYSTEMD):
        raise BadImage(
            f"{image} holds no systemd (no /usr/lib/systemd/systemd): it has to be the root of a system, such as "
            "mmdebstrap makes with --include=systemd-sysv,python3,git"
        )
    python = python or Path(sys.executable).resolve()
    if python.is_relative_to(SYSTEM) and not _has(tree, *python.parts[1:]):
        raise BadImage(
            f"{image} has no {python}, which hyperhive runs on here; put that version of Python into it, or install "
            "hyperhive with a Python that lies outside of /usr"
        )


async def _lay_out(tarball: Path, tree: Path) -> None:
    partial = await asyncio.to_thread(trees.partial, tree)
    try:
        output = await runner.run(unpack_argv(tarball, partial), deadline_seconds=UNPACK_SECONDS)
        if output.status != 0:
            raise BadImage(f"{tarball} cannot be unpacked; tar said: {output.text.strip()}")
        check(partial, tarball)
        partial.chmod(0o755)
        # A name that outlives a power cut has to have all that it names.
        synced = await runner.run((*_SYNC, str(partial)), deadline_seconds=UNPACK_SECONDS)
        if synced.status != 0:
            raise RuntimeFailed(_SYNC, synced.status, synced.text)
        partial.rename(tree)
    finally:
        await asyncio.to_thread(wipe, tree.parent, partial.name)


def _digest(image: Path, place: Path) -> str | None:
    """Return the digest of a tarball, for which there is a place then; None of a directory."""
    if image.is_dir():
        return None
    if not image.is_file():
        raise BadImage(f"nspawn.image is {image}; it has to be a system's root directory or a tarball of one")
    # Each with this mode, which mkdir gives to the last one only.
    for directory in (*reversed(place.parents), place):
        directory.mkdir(mode=0o700, exist_ok=True)
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _has(tree: Path, *path: str) -> bool:
    *parents, name = path
    try:
        with handles.below(tree, *parents) as directory:
            handles.status(directory, name)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
