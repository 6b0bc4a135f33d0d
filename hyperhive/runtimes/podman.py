"""The runtime of OCI containers, by podman, as root or as any other user."""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from hyperhive.runtimes import host, limits, oci, procfs, runner, sandbox
from hyperhive.runtimes.confinement import Egress, EgressPolicy, Limits
from hyperhive.runtimes.files import keep, make_link
from hyperhive.runtimes.images import CONTAINERFILE, Images
from hyperhive.runtimes.keeper import Launch
from hyperhive.runtimes.local import Local
from hyperhive.runtimes.oci import UMASK, Image, Tool
from hyperhive.runtimes.procfs import Process
from hyperhive.runtimes.protocol import InvalidSpec, Probe, RuntimeFailed, RuntimeTimeout, RuntimeUnavailable, Spec
from hyperhive.runtimes.runner import HOST_ENVIRONMENT, HOST_PATH

_TRIAL_SECONDS = 30.0
_TRIAL_LIMITS = Limits(memory_bytes=64 << 20, cpu_percent=100, tasks=64)
_REMOVE_SECONDS = 30.0
_OCI_RUNTIMES = ("crun", "runc")
"""Tried in this order, but for machines with cgroups of version 1, which crun may refuse."""
_NOFILE, _NPROC = 16_384, 4_096
"""Far more than an agent needs, and less than what podman has given up for itself where it was root's."""
_MISSING = Probe(
    ok=False,
    detail="podman is not installed.",
    remedy="Install it with runc and an init (apt install podman runc catatonit; without root also uidmap).",
)


class Podman(Local):
    """Runs each agent in a container of its own; docs/runtimes.md says what it keeps apart."""

    name = "podman"
    isolated = True

    def __init__(self, *, run_dir: Path, hive: str, program: Sequence[str] | None = None) -> None:
        super().__init__(run_dir=run_dir, hive=hive)
        self._python = host.python()
        self._harness = tuple(program) if program else host.harness_argv()
        self._generated = self._records.directory / "etc"
        self._filter = self._records.directory / "filter.seccomp"
        self._depth = len(procfs.namespace_pids(os.getpid()))
        self._environment = _environment(run_dir)
        self._images = Images(hive=hive, environment=self._environment)
        self._tool: Tool | None = None
        self._finding = asyncio.Lock()

    async def probe(self) -> Probe:
        """Make a container like an agent's, once; a success is remembered, a refusal is tried again."""
        try:
            tool = await self._find()
        except RuntimeUnavailable as error:
            return error.probe
        whose = "root's" if tool.root else "this user's"
        kept = "cgroups" if tool.groups else "limits of each process alone (no cgroups for this user here)"
        return Probe(ok=True, detail=f"{tool.path} makes {whose} containers here, by {tool.runtime}. Limits: {kept}.")

    async def build(self, spec: Spec) -> None:
        """Build the agent's own image, where it has a Containerfile; one that fails leaves the image of before."""
        tool = await self._find()
        directory = _own(spec)
        if directory is not None:
            await self._images.build(tool, spec.name, directory, self._roots())

    async def start(self, name: str) -> None:
        """Start it, and remove the images and trees that nobody needs any more."""
        await super().start(name)
        await self._images.discard(await self._find(), self._roots())

    async def remove(self, name: str) -> None:
        """Delete the record; what its image leaves behind goes with the next start."""
        await super().remove(name)
        self._images.unsettle()

    async def command(
        self, spec: Spec, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Return the argv of a second container, with the same files; it ends with the terminal's process."""
        tool = await self._find()
        name = f"{self._called(spec.name)}.{secrets.token_hex(3)}"
        container = await self._container(tool, spec, host.way_out_argv(spec, argv), name=name, more=environment or {})
        outer = (f"{variable}={value}" for variable, value in self._environment.items())
        return ("/usr/bin/env", "-i", *outer, *oci.terminal_argv(tool, container))

    async def _launch(self, spec: Spec) -> Launch:
        tool = await self._find()
        name = self._called(spec.name)
        container = await self._container(tool, spec, self._harness, name=name, more={})
        argv = oci.keeper_argv(tool, name, self._pid_file(spec.name), container)
        return Launch(argv=argv, environment=self._environment, cwd=Path("/"))

    def _confine(self, spec: Spec) -> None:
        self._pid_file(spec.name).unlink(missing_ok=True)

    def _check(self, spec: Spec) -> None:
        super()._check(spec)
        for tree in sandbox.shown(sandbox.system(self._generated), self._python):
            for kept in (spec.state, spec.socket_dir, spec.log, self._run_dir):
                if kept.resolve().is_relative_to(tree):
                    raise InvalidSpec(f"{kept} lies in {tree}, which every agent can read; put it elsewhere")
        for path in (spec.state, spec.socket_dir, *spec.readable, *spec.writable.values(), *spec.read_only.values()):
            if "," in str(path):
                raise InvalidSpec(f"{path} has a comma in its name, which podman cannot mount; rename it")

    def _program(self, keeper_pid: int) -> int | None:
        """Of the children of the container's init it is the eldest, once it is no copy of its parent any more."""
        first = self._first(keeper_pid)
        if first is None:
            return None
        own = {procfs.namespace_pids(child)[-1:]: child for child in procfs.children(first)}
        eldest = own[min(own)] if own else None
        line = procfs.command_line(eldest) if eldest is not None else ()
        ready = line not in {(), procfs.command_line(first)} and line[: len(oci.BECOME)] != oci.BECOME
        return eldest if ready else None

    def _first(self, keeper_pid: int) -> int | None:
        """Return the container's init, as podman noted it where the keeper said."""
        line = procfs.command_line(keeper_pid)
        try:
            return int(Path(line[line.index("--pidfile") + 1]).read_text())
        except (ValueError, OSError):
            return None

    def _believed(self, pid: int) -> bool:
        """Outside the containers; an agent can mark its own processes, but those are in a namespace."""
        return len(procfs.namespace_pids(pid)) == self._depth

    async def _kill(self, name: str, tree: Iterable[Process] = ()) -> None:
        """Kill the processes, and let podman forget its container."""
        await super()._kill(name, tree)
        pid_file = self._pid_file(name)
        if not pid_file.exists():
            return
        tool = await self._find()
        argv = (*tool.argv, "rm", "--force", "--ignore", "--time", "0", self._called(name))
        await self._do(argv, _REMOVE_SECONDS)
        pid_file.unlink(missing_ok=True)

    def _called(self, name: str) -> str:
        return f"h-{name}.{self._hive}"

    def _pid_file(self, name: str) -> Path:
        return self._records.directory / f"{name}.pid"

    async def _container(
        self, tool: Tool, spec: Spec, argv: Sequence[str], *, name: str, more: Mapping[str, str]
    ) -> tuple[str, ...]:
        self._records.prepare()
        system = self._prepare(self._records.directory)
        image = await self._image(tool, spec)
        environment = sandbox.sandbox_environment(spec, self._python)
        return oci.container_argv(
            tool,
            spec,
            argv,
            name=name,
            image=image,
            environment={**environment, **more},
            system=system,
            python=self._python,
            filter_file=self._filter,
        )

    async def _image(self, tool: Tool, spec: Spec) -> Image:
        directory = _own(spec)
        if directory is None:
            image = await self._images.base(tool, self._roots())
        else:
            image = await self._images.of_agent(tool, spec.name, directory, self._roots())
        for link, target in oci.links(spec, self._python).items():
            make_link(image.tree, *link.parts[1:], target=target)
        return image

    def _roots(self) -> dict[str, str | None]:
        return dict(sandbox.system(self._generated).roots)

    def _prepare(self, directory: Path) -> sandbox.System:
        generated = directory / "etc"
        generated.mkdir(exist_ok=True)
        for name, text in sandbox.GENERATED.items():
            keep(generated / name, text.encode())
        keep(directory / self._filter.name, oci.filter_json())
        return sandbox.system(generated)

    async def _find(self) -> Tool:
        async with self._finding:
            if self._tool is None:
                self._tool = await self._try_all()
            return self._tool

    async def _try_all(self) -> Tool:
        path = shutil.which("podman", path=HOST_PATH)
        if path is None:
            raise RuntimeUnavailable(self.name, _MISSING)
        said = ""
        order = _OCI_RUNTIMES if (limits.CGROUPS / "cgroup.controllers").exists() else reversed(_OCI_RUNTIMES)
        for runtime in (name for name in order if shutil.which(name, path=HOST_PATH)):
            for groups in (True, False):
                tool = Tool(
                    path=path,
                    root=os.geteuid() == 0,
                    runtime=runtime,
                    groups=groups,
                    nofile=_at_most(resource.RLIMIT_NOFILE, _NOFILE),
                    nproc=_at_most(resource.RLIMIT_NPROC, _NPROC),
                )
                refusal = await self._try(tool)
                if refusal is None:
                    return tool
                said += f"\n{runtime}{'' if groups else ' without cgroups'}: {refusal.strip()}"
        raise RuntimeUnavailable(self.name, _diagnosis(said))

    async def _try(self, tool: Tool) -> str | None:
        """Run `true` in a container like an agent's; return what podman said where it failed."""
        with tempfile.TemporaryDirectory(prefix="hyperhive-probe-") as made:
            directory = Path(made)
            for name in ("state", "socket"):
                (directory / name).mkdir()
            spec = Spec(
                name="probe",
                state=directory / "state",
                socket_dir=directory / "socket",
                log=directory / "log",
                generation=0,
                limits=_TRIAL_LIMITS if tool.groups else Limits(),
                egress=Egress(policy=EgressPolicy.NONE),
            )
            try:
                system = self._prepare(directory)
                argv = oci.container_argv(
                    tool,
                    spec,
                    ("true",),
                    name=f"hyperhive-probe.{secrets.token_hex(3)}",
                    image=await self._images.base(tool, dict(system.roots)),
                    environment={"PATH": HOST_PATH},
                    system=system,
                    python=attrs.evolve(self._python, trees=(), links=()),
                    filter_file=directory / self._filter.name,
                )
                output = await self._do((*tool.argv, "run", "--rm", *argv), _TRIAL_SECONDS)
            except (RuntimeFailed, RuntimeTimeout) as error:
                return error.output or str(error)
        # Limits that cannot be kept are a warning to podman, and then there are none.
        ignored = "limits" in output.text and "ignor" in output.text.lower()
        return output.text if output.status != 0 or ignored else None

    async def _do(self, argv: Sequence[str], seconds: float) -> runner.Output:
        return await runner.run(argv, deadline_seconds=seconds, environment=self._environment, umask=UMASK)


def _environment(run_dir: Path) -> dict[str, str]:
    """Return podman's own environment; a user's has to be told where its images and its sockets are."""
    if os.geteuid() == 0:
        return dict(HOST_ENVIRONMENT)
    runtime = os.environ.get("XDG_RUNTIME_DIR") or str(run_dir)
    return {**HOST_ENVIRONMENT, "HOME": str(Path.home()), "XDG_RUNTIME_DIR": runtime}


def _own(spec: Spec) -> Path | None:
    """Return the directory that an agent's own image is built from."""
    return spec.build if spec.build is not None and (spec.build / CONTAINERFILE).is_file() else None


def _at_most(kind: int, wanted: int) -> int:
    """Return a limit that this process may give on."""
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _diagnosis(said: str) -> Probe:
    if not said:
        return Probe(ok=False, detail="Neither crun nor runc is installed.", remedy="apt install runc")
    words = said.strip()[-2_000:]
    remedy = "Run podman by hand; 'hyperhive doctor' tries again."
    if "init" in said and ("catatonit" in said or "no such file" in said.lower()):
        remedy = "Install an init for containers: apt install catatonit."
    elif "newuidmap" in said or "subuid" in said:
        remedy = "Give this user subordinate ids (apt install uidmap; usermod --add-subuids 100000-165535 USER)."
    return Probe(ok=False, detail=f"podman failed. It said: {words}", remedy=remedy)
