"""The runtime of unprivileged sandboxes: namespaces and an allow-list of mounts, by bubblewrap."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hyperhive.runtimes import diagnosis, host, limits, procfs, runner, sandbox, seccomp
from hyperhive.runtimes.confinement import Egress, EgressPolicy
from hyperhive.runtimes.enter import FILTER_FD, enter_argv
from hyperhive.runtimes.files import keep
from hyperhive.runtimes.keeper import Launch
from hyperhive.runtimes.limits import Kind, Way
from hyperhive.runtimes.local import Local
from hyperhive.runtimes.protocol import InvalidSpec, Probe, RuntimeFailed, RuntimeTimeout, RuntimeUnavailable, Spec
from hyperhive.runtimes.runner import HOST_ENVIRONMENT, HOST_PATH
from hyperhive.runtimes.sandbox import Bwrap

_TRIAL_SECONDS = 10.0


class Bubblewrap(Local):
    """Runs each agent in a sandbox of its own, without root; docs/runtimes.md says what it keeps apart."""

    name = "bubblewrap"
    isolated = True

    def __init__(self, *, run_dir: Path, hive: str, program: Sequence[str] | None = None) -> None:
        super().__init__(run_dir=run_dir, hive=hive)
        self._python = host.python()
        self._harness = tuple(program) if program else host.harness_argv()
        self._generated = self._records.directory / "etc"
        self._depth = len(procfs.namespace_pids(os.getpid()))
        self._filter = self._records.directory / "filter.bpf"
        self._bwrap: Bwrap | None = None
        self._way = Way(kind=Kind.RLIMITS)
        self._finding = asyncio.Lock()

    async def probe(self) -> Probe:
        """Make a sandbox like an agent's, once; a success is remembered, a refusal is tried again."""
        try:
            bwrap = await self._find()
        except RuntimeUnavailable as error:
            return error.probe
        unlimited = "" if bwrap.sizes else " /tmp has no limit of its own (bubblewrap before 0.7)."
        forbidden = bwrap.no_nesting or seccomp.program() is not None
        nesting = "" if forbidden else " Agents may make user namespaces of their own (--disable-userns fails here)."
        kept = f" Limits are kept by {self._way.detail}."
        return Probe(ok=True, detail=f"{bwrap.path} makes sandboxes here.{kept}{unlimited}{nesting}")

    async def command(
        self, spec: Spec, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Return the argv of a second sandbox, with the same files; it ends with the terminal's process."""
        inner = await self._sandbox(spec, host.way_out_argv(spec, argv), environment or {}, terminal=True)
        outer = (f"{name}={value}" for name, value in HOST_ENVIRONMENT.items())
        # A person's program beside the agent's: it is not counted among the agent's own.
        return ("/usr/bin/env", "-i", *outer, *enter_argv(inner, groups=(), filter_file=self._filter))

    async def _launch(self, spec: Spec) -> Launch:
        inner = await self._sandbox(spec, self._harness, {})
        groups = limits.groups(self._way, self._hive, spec.container, spec.limits)
        argv = enter_argv(inner, groups=groups, filter_file=self._filter)
        if self._way.kind is Kind.SCOPE and spec.limits.any:
            unit = f"hyperhive-{self._hive}-{spec.container}-{spec.generation}-{secrets.token_hex(3)}"
            argv = (*limits.scope_argv(self._way, unit, spec.limits), *argv)
        return Launch(argv=argv, environment=limits.environment(self._way), cwd=Path("/"), groups=tuple(groups))

    def _confine(self, spec: Spec) -> None:
        limits.make(self._way, self._hive, spec.container, spec.limits)

    def _check(self, spec: Spec) -> None:
        super()._check(spec)
        for tree in sandbox.shown(sandbox.system(self._generated), self._python):
            for kept in (spec.state, spec.socket_dir, spec.log, self._run_dir):
                if kept.resolve().is_relative_to(tree):
                    raise InvalidSpec(f"{kept} lies in {tree}, which every agent can read; put it elsewhere")

    def _program(self, keeper_pid: int) -> int | None:
        """Of the first process's children it is the eldest, once it is no copy of its parent any more."""
        first = self._first(keeper_pid)
        if first is None:
            return None
        own = {procfs.namespace_pids(child)[-1:]: child for child in procfs.children(first)}
        eldest = own[min(own)] if own else None
        ready = eldest is not None and procfs.command_line(eldest) not in {(), procfs.command_line(first)}
        return eldest if ready else None

    def _first(self, keeper_pid: int) -> int | None:
        """Return the only child of the keeper's only child, bubblewrap outside."""
        outside = host.started_child(keeper_pid)
        return next(iter(procfs.children(outside)), None) if outside else None

    def _believed(self, pid: int) -> bool:
        """Outside the sandboxes, or the first process of one; an agent can mark its own, but these are not its own."""
        numbers = procfs.namespace_pids(pid)
        return len(numbers) == self._depth or (len(numbers) == self._depth + 1 and numbers[-1] == 1)

    async def _sandbox(
        self, spec: Spec, argv: Sequence[str], more: Mapping[str, str], *, terminal: bool = False
    ) -> tuple[str, ...]:
        bwrap = await self._find()
        self._generate()
        confined = () if terminal else limits.rlimit_argv(self._way, spec.limits)
        return sandbox.sandbox_argv(
            spec,
            (*confined, *argv),
            environment={**sandbox.sandbox_environment(spec, self._python), **more},
            bwrap=bwrap,
            system=sandbox.system(self._generated),
            python=self._python,
            terminal=terminal,
            filter_fd=FILTER_FD if seccomp.program() else None,
        )

    def _generate(self) -> None:
        self._records.prepare()
        self._generated.mkdir(exist_ok=True)
        for name, text in sandbox.GENERATED.items():
            keep(self._generated / name, text.encode())
        keep(self._filter, seccomp.program() or b"")

    async def _find(self) -> Bwrap:
        """Find bubblewrap and try it for real, once; raises `RuntimeUnavailable` with the reason."""
        async with self._finding:
            if self._bwrap is None:
                self._bwrap = await self._try_all()
                self._way = await limits.find(self._hive)
            return self._bwrap

    async def _try_all(self) -> Bwrap:
        path = shutil.which("bwrap", path=HOST_PATH)
        if path is None:
            raise RuntimeUnavailable(self.name, diagnosis.MISSING)
        options = (await runner.run((path, "--help"), deadline_seconds=_TRIAL_SECONDS)).text
        bwrap = Bwrap(path=path, sizes="--size" in options, no_nesting="--disable-userns" in options)
        refusal = await self._try(bwrap)
        if refusal is not None and bwrap.no_nesting:
            bwrap = Bwrap(path=path, sizes=bwrap.sizes, no_nesting=False)
            refusal = await self._try(bwrap)
        if refusal is not None:
            raise RuntimeUnavailable(self.name, diagnosis.diagnose(refusal, diagnosis.kernel()))
        return bwrap

    async def _try(self, bwrap: Bwrap) -> str | None:
        """Run `true` in a sandbox like an agent's; return what bubblewrap said where it failed."""
        with tempfile.TemporaryDirectory(prefix="hyperhive-probe-") as made:
            directory = Path(made)
            for name in ("state", "socket", "etc"):
                (directory / name).mkdir()
            for name, text in sandbox.GENERATED.items():
                (directory / "etc" / name).write_text(text)
            spec = Spec(
                name="probe",
                state=directory / "state",
                socket_dir=directory / "socket",
                log=directory / "log",
                generation=0,
                egress=Egress(policy=EgressPolicy.NONE),
            )
            (directory / "filter").write_bytes(seccomp.program() or b"")
            inner = sandbox.sandbox_argv(
                spec,
                ("true",),
                environment={"PATH": HOST_PATH},
                bwrap=bwrap,
                system=sandbox.system(directory / "etc"),
                python=self._python,
                filter_fd=FILTER_FD if seccomp.program() else None,
            )
            argv = enter_argv(inner, groups=(), filter_file=directory / "filter")
            try:
                await runner.check(argv, deadline_seconds=_TRIAL_SECONDS)
            except (RuntimeFailed, RuntimeTimeout) as error:
                return error.output or str(error)
        return None
