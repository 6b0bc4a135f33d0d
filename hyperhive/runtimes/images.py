"""What podman's containers are made from: images that it builds, laid out in the file system as trees.

A tree is used in place of the image's layers because not every kernel mounts overlayfs for another user's ids.
A start copies nothing, and needs no mount of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hyperhive.runtimes import runner
from hyperhive.runtimes.keeper import SHELL
from hyperhive.runtimes.oci import BASE, CONTAINERFILE, SYSTEM_LABEL, UMASK, Image, Tool
from hyperhive.runtimes.protocol import RuntimeFailed

BUILD_SECONDS = 600.0
COMMAND_SECONDS = 60.0
DIRECTORIES = ("dev", "etc", "proc", "run/hyperhive", "state", "sys", "tmp", "usr", "var", "home", "root")

_UNPACK = '"$0" export "$1" | tar --extract --directory "$2" --no-same-owner --no-same-permissions --exclude dev/*'


class Images:
    """Builds images, and keeps the tree of each."""

    def __init__(self, *, hive: str, environment: Mapping[str, str]) -> None:
        self._hive = hive
        self._environment = environment
        self._building = asyncio.Lock()

    async def base(self, tool: Tool, roots: Mapping[str, str | None]) -> Image:
        """Return the base, built where it is not there yet; ``roots`` are the links beside /usr."""
        text = CONTAINERFILE + repr(sorted(roots.items())) + repr(DIRECTORIES)
        tag = f"{BASE}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        async with self._building:
            if (await self._run(tool, "image", "exists", tag)).status != 0:
                with tempfile.TemporaryDirectory(prefix="hyperhive-image-") as context:
                    await asyncio.to_thread(_lay_out, Path(context), roots)
                    await self._check(tool, "build", "--quiet", "--tag", tag, "--tag", BASE, context)
            return await self._tree(tool, tag)

    async def of_agent(self, tool: Tool, name: str, directory: Path) -> Image:
        """Build what an agent's own Containerfile says; raises `RuntimeFailed` with the end of what podman said."""
        tag = f"localhost/hyperhive-agent-{name}:{self._hive}"
        async with self._building:
            containerfile = str(directory / "Containerfile")
            await self._check(tool, "build", "--quiet", "--tag", tag, "--file", containerfile, str(directory))
            return await self._tree(tool, tag)

    async def _tree(self, tool: Tool, tag: str) -> Image:
        """Return an image's tree, made once for each image."""
        said = await self._check(
            tool, "image", "inspect", "--format", f'{{{{.Id}}}} {{{{index .Labels "{SYSTEM_LABEL}"}}}}', tag
        )
        identity, _, system = said.strip().partition(" ")
        trees = await self._trees(tool)
        tree = trees / identity
        if not await asyncio.to_thread(tree.is_dir):
            await self._unpack(tool, identity, tree)
        return Image(tree=tree, brings_system=system == "image")

    async def _unpack(self, tool: Tool, identity: str, tree: Path) -> None:
        partial = tree.with_name(f"{tree.name}.part")
        await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
        partial.mkdir(parents=True)
        container = (await self._check(tool, "create", identity, "/unused")).strip().splitlines()[-1]
        try:
            argv = (SHELL, "-c", _UNPACK, tool.path, container, str(partial))
            unpacked = await runner.run(
                argv, deadline_seconds=BUILD_SECONDS, environment=self._environment, umask=UMASK
            )
            if unpacked.status != 0:
                raise RuntimeFailed(argv, unpacked.status, unpacked.text)
        finally:
            await self._run(tool, "rm", "--force", container)
        for name in DIRECTORIES:
            (partial / name).mkdir(parents=True, exist_ok=True)
            (partial / name).chmod(0o755)
        # What is mounted there takes its mode.
        (partial / "tmp").chmod(0o1777)
        # Who is root inside has to come through, and is nobody outside.
        partial.chmod(0o755)
        partial.replace(tree)

    async def _trees(self, tool: Tool) -> Path:
        root = (await self._check(tool, "info", "--format", "{{.Store.GraphRoot}}")).strip()
        return Path(root).parent / "hyperhive"

    async def _check(self, tool: Tool, *arguments: str) -> str:
        output = await self._run(tool, *arguments)
        if output.status != 0:
            raise RuntimeFailed((*tool.argv, *arguments), output.status, output.text)
        return output.text

    async def _run(self, tool: Tool, *arguments: str) -> runner.Output:
        seconds = BUILD_SECONDS if arguments[0] == "build" else COMMAND_SECONDS
        return await runner.run(
            (*tool.argv, *arguments), deadline_seconds=seconds, environment=self._environment, umask=UMASK
        )


def _lay_out(context: Path, roots: Mapping[str, str | None]) -> None:
    """Write a build context: the Containerfile, and what it copies."""
    (context / "Containerfile").write_text(CONTAINERFILE)
    for name in DIRECTORIES:
        (context / "root" / name).mkdir(parents=True, exist_ok=True)
    for name, target in roots.items():
        path = context / "root" / name
        if target is None:
            path.mkdir()
        else:
            path.symlink_to(target)
