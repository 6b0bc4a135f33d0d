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

from hyperhive.runtimes import files, runner
from hyperhive.runtimes.keeper import SHELL
from hyperhive.runtimes.oci import BASE, SYSTEM_LABEL, UMASK, Image, Tool
from hyperhive.runtimes.protocol import RuntimeFailed

BUILD_SECONDS = 600.0
COMMAND_SECONDS = 60.0
CONTAINERFILE = "Containerfile"
BASE_FILE = Path(__file__).with_name(CONTAINERFILE)
DIRECTORIES = ("dev", "etc", "proc", "run/hyperhive", "state", "sys", "tmp", "usr", "var", "home", "root")

_UNPACK = '"$0" export "$1" | tar --extract --directory "$2" --no-same-owner --no-same-permissions --exclude dev/*'


class Images:
    """Builds images, and keeps the tree of each."""

    def __init__(self, *, hive: str, environment: Mapping[str, str]) -> None:
        self._hive = hive
        self._environment = environment
        self._building = asyncio.Lock()
        self._unpacking = asyncio.Lock()
        self._bases: dict[str, Image] = {}
        self._place: Path | None = None

    async def base(self, tool: Tool, roots: Mapping[str, str | None]) -> Image:
        """Return the base's tree; podman is asked for it once, as each question to it takes a tenth of a second."""
        tag = base_tag(roots)
        async with self._building:
            known = self._bases.get(tag)
            if known is None or not await asyncio.to_thread(known.tree.is_dir):
                known = self._bases[tag] = await self._base(tool, roots)
            return known

    async def _base(self, tool: Tool, roots: Mapping[str, str | None]) -> Image:
        """Build the base where podman has it not, or no more."""
        tag = base_tag(roots)
        if (await self._run(tool, "image", "exists", tag)).status != 0:
            with tempfile.TemporaryDirectory(prefix="hyperhive-image-") as context:
                await asyncio.to_thread(_lay_out, Path(context), roots)
                await self._check(tool, "build", "--quiet", "--tag", tag, "--tag", BASE, context)
        return await self._tree(tool, tag)

    async def build(self, tool: Tool, name: str, directory: Path, roots: Mapping[str, str | None]) -> Image:
        """Build what an agent's own Containerfile says; raises `RuntimeFailed` with the end of what podman said.

        Where that fails, its image of before is still there.
        """
        async with self._building:
            await self._base(tool, roots)  # what it begins with
        tag = self._tag(name)
        with tempfile.TemporaryDirectory(prefix="hyperhive-image-") as made:
            context = Path(made, "context")
            await asyncio.to_thread(files.copy_sources, directory, context)
            containerfile = str(context / CONTAINERFILE)
            await self._check(tool, "build", "--quiet", "--tag", tag, "--file", containerfile, str(context))
        return await self._tree(tool, tag)

    async def of_agent(self, tool: Tool, name: str, directory: Path, roots: Mapping[str, str | None]) -> Image:
        """Return what was built last for an agent; it is built now where nothing ever was."""
        if (await self._run(tool, "image", "exists", self._tag(name))).status != 0:
            return await self.build(tool, name, directory, roots)
        return await self._tree(tool, self._tag(name))

    def _tag(self, name: str) -> str:
        return f"localhost/hyperhive-agent-{name}:{self._hive}"

    async def _tree(self, tool: Tool, tag: str) -> Image:
        """Return an image's tree, made once for each image."""
        said = await self._check(
            tool, "image", "inspect", "--format", f'{{{{.Id}}}} {{{{index .Labels "{SYSTEM_LABEL}"}}}}', tag
        )
        identity, _, system = said.strip().partition(" ")
        trees = await self._trees(tool)
        tree = trees / identity
        async with self._unpacking:
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
        if self._place is None:
            root = (await self._check(tool, "info", "--format", "{{.Store.GraphRoot}}")).strip()
            self._place = Path(root).parent / "hyperhive"
        return self._place

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


def base_tag(roots: Mapping[str, str | None]) -> str:
    """Return what the base is called where these are the links beside /usr: another one where any of it changes."""
    text = BASE_FILE.read_text() + repr(sorted(roots.items())) + repr(DIRECTORIES)
    return f"{BASE}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _lay_out(context: Path, roots: Mapping[str, str | None]) -> None:
    """Write a build context: the Containerfile, and what it copies."""
    shutil.copyfile(BASE_FILE, context / CONTAINERFILE)
    for name in DIRECTORIES:
        (context / "root" / name).mkdir(parents=True, exist_ok=True)
    for name, target in roots.items():
        path = context / "root" / name
        if target is None:
            path.mkdir()
        else:
            path.symlink_to(target)
