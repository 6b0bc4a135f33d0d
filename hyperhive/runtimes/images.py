"""What podman's containers are made from: images that it builds, laid out in the file system as trees.

A tree is used in place of the image's layers because not every kernel mounts overlayfs for another user's ids.
A start copies nothing, and needs no mount of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from hyperhive.runtimes import files, runner, trees
from hyperhive.runtimes.keeper import SHELL
from hyperhive.runtimes.oci import APPLIED_LABEL, BASE, SYSTEM_LABEL, UMASK, Image, Tool
from hyperhive.runtimes.protocol import RuntimeFailed, RuntimeTrouble

_log = structlog.get_logger(__name__)

BUILD_SECONDS = 600.0
COMMAND_SECONDS = 60.0
CONTAINERFILE = "Containerfile"
BASE_FILE = Path(__file__).with_name(CONTAINERFILE)
DIRECTORIES = ("dev", "etc", "proc", "run/hyperhive", "state", "sys", "tmp", "usr", "var", "home", "root")

_LISTED_BYTES = 64 << 20
"""More than any list of images; one that is cut off would be no JSON."""
_AGENTS = "localhost/hyperhive-agent-"
_UNPACK = '"$0" export "$1" | tar --extract --directory "$2" --no-same-owner --no-same-permissions --exclude "dev/*"'


class Images:
    """Builds images, and keeps the tree of each."""

    def __init__(self, *, hive: str, environment: Mapping[str, str]) -> None:
        self._hive = hive
        self._environment = environment
        self._building = asyncio.Lock()
        self._sweeper = trees.Sweeper()
        self._settled = False
        """Whether nothing has come since the last look that could have left something behind."""
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
            whose = ("--tag", tag, "--label", f"{APPLIED_LABEL}={directory}")
            containerfile = str(context / CONTAINERFILE)
            await self._check(tool, "build", "--quiet", *whose, "--file", containerfile, str(context))
        self._settled = False
        return await self._tree(tool, tag)

    async def of_agent(self, tool: Tool, name: str, directory: Path, roots: Mapping[str, str | None]) -> Image:
        """Return what was built last for an agent; it is built now where nothing ever was."""
        if (await self._run(tool, "image", "exists", self._tag(name))).status != 0:
            return await self.build(tool, name, directory, roots)
        return await self._tree(tool, self._tag(name))

    def unsettle(self) -> None:
        """Look again at the next `discard`: an agent is no more, and perhaps its configuration."""
        self._settled = False

    async def discard(self, tool: Tool, roots: Mapping[str, str | None]) -> None:
        """Remove what is left of earlier images: see `stale`; then every tree that has neither a name nor a container.

        What fails to go now stays until the next time.
        """
        if self._settled:
            return
        place = await self._trees(tool)
        if trees.untidy(place, {base.tree.name for base in self._bases.values()}):
            try:
                async with trees.alone(place):
                    for image in stale(await self._listed(tool), base_tag(roots)):
                        await self._run(tool, "image", "rm", image)
                    named = {image["Id"] for image in await self._listed(tool) if image.get("Names")}
                    self._settled = not await asyncio.to_thread(trees.set_aside, place, named)
                self._sweeper.sweep(place)
            except (RuntimeTrouble, OSError, ValueError) as error:
                _log.warning("old_images_stay", directory=str(place), error=str(error))
        else:
            self._settled = True

    async def _listed(self, tool: Tool) -> list[dict[str, Any]]:
        said = await self._check(tool, "image", "ls", "--format", "json", keep_bytes=_LISTED_BYTES)
        return list(json.loads(said))

    def _tag(self, name: str) -> str:
        return f"{_AGENTS}{name}:{self._hive}"

    async def _tree(self, tool: Tool, tag: str) -> Image:
        """Return an image's tree, made once for each image."""
        said = await self._check(
            tool, "image", "inspect", "--format", f'{{{{.Id}}}} {{{{index .Labels "{SYSTEM_LABEL}"}}}}', tag
        )
        identity, _, system = said.strip().partition(" ")
        place = await self._trees(tool)
        tree = place / identity
        async with trees.alone(place):
            if not await asyncio.to_thread(tree.is_dir):
                self._settled = False
                await self._unpack(tool, identity, tree)
        return Image(tree=tree, brings_system=system == "image")

    async def _unpack(self, tool: Tool, identity: str, tree: Path) -> None:
        partial = await asyncio.to_thread(trees.partial, tree)
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
            # What is mounted there takes its mode.
            files.make_directory(partial, *name.split("/"), mode=0o1777 if name == "tmp" else 0o755)
        # Who is root inside has to come through, and is nobody outside.
        partial.chmod(0o755)
        partial.replace(tree)

    async def _trees(self, tool: Tool) -> Path:
        if self._place is None:
            root = (await self._check(tool, "info", "--format", "{{.Store.GraphRoot}}")).strip()
            place = Path(root).parent / "hyperhive"
            place.mkdir(parents=True, exist_ok=True)
            self._place = place
        return self._place

    async def _check(self, tool: Tool, *arguments: str, keep_bytes: int = runner.KEEP_BYTES) -> str:
        output = await self._run(tool, *arguments, keep_bytes=keep_bytes)
        if output.status != 0:
            raise RuntimeFailed((*tool.argv, *arguments), output.status, output.text)
        return output.text

    async def _run(self, tool: Tool, *arguments: str, keep_bytes: int = runner.KEEP_BYTES) -> runner.Output:
        seconds = BUILD_SECONDS if arguments[0] == "build" else COMMAND_SECONDS
        return await runner.run(
            (*tool.argv, *arguments),
            deadline_seconds=seconds,
            environment=self._environment,
            keep_bytes=keep_bytes,
            umask=UMASK,
        )


def base_tag(roots: Mapping[str, str | None]) -> str:
    """Return what the base is called where these are the links beside /usr: another one where any of it changes."""
    text = BASE_FILE.read_text() + repr(sorted(roots.items())) + repr(DIRECTORIES)
    return f"{BASE}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def stale(listed: Sequence[Mapping[str, Any]], base: str) -> Iterator[str]:
    """Return what of podman's images to remove, by name or by id: bases but this one, and what no agent has any more.

    An agent has the image with its name as long as its Containerfile is there, of whichever hive it is.
    """
    for image in listed:
        applied = (image.get("Labels") or {}).get(APPLIED_LABEL)
        kept = applied is None or Path(applied, CONTAINERFILE).is_file()
        names = image.get("Names") or []
        if not names and applied is not None:
            yield image["Id"]
        for name in names:
            other = name.startswith(f"{BASE}:") and name not in {base, f"{BASE}:latest"}
            if other or (name.startswith(_AGENTS) and not kept):
                yield name


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
