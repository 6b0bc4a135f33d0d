"""The runtime of NixOS containers: each agent's is built from its own flake, and driven by `nixos-container`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from hyperhive.runtimes import acl, host, machine, nixos_build, nixos_flake, runner, sandbox, systemd
from hyperhive.runtimes.booted import Booted
from hyperhive.runtimes.files import copy_sources
from hyperhive.runtimes.protocol import Probe, Spec, StillRunning
from hyperhive.runtimes.records import Record
from hyperhive.runtimes.runner import HOST_PATH

BUILD_SECONDS = 3600.0
_PROGRAMS = ("nixos-container", "nix", "machinectl", "systemctl", "journalctl")


class Nixos(Booted):
    """Runs each agent in a NixOS container `h-<agent>`; only for NixOS hosts.

    Of a spec it takes ``build``, the directory with the agent's flake; where nothing is applied the base is all of it.
    ``flake`` is the reference of hyperhive's own, which has the base.
    """

    name = "nixos"
    isolated = True
    template = "container@%s.service"
    start_seconds = 90.0

    confs = nixos_build.CONFS

    def __init__(
        self, *, run_dir: Path, hive: str, program: Sequence[str] | None = None, flake: str = nixos_flake.HYPERHIVE
    ) -> None:
        super().__init__(run_dir=run_dir, hive=hive, program=program)
        self._flake = flake

    async def probe(self) -> Probe:
        """Look for NixOS and its tools; nothing is built for it."""
        if os.geteuid() != 0:
            return Probe(ok=False, detail="only root has containers of NixOS.", remedy="Run the daemon as root.")
        for program in _PROGRAMS:
            if shutil.which(program, path=HOST_PATH) is None:
                return Probe(
                    ok=False,
                    detail=f"this is no NixOS host with containers: {program} is not installed.",
                    remedy="Import the module of flake.nix there (docs/install/nixos.md); elsewhere use nspawn.",
                )
        if not systemd.running():
            return Probe(ok=False, detail="systemd does not run this machine.", remedy="Use bubblewrap or podman here.")
        return Probe(ok=True, detail="nixos-container and nix are here.")

    async def build(self, spec: Spec) -> None:
        """Build the system; where that fails, the container keeps the one that it has, and runs on."""
        async with self._alone(spec.name):
            flake = await asyncio.to_thread(self._lay_flake, spec)
            await self._nix(spec.name, nixos_build.build_argv(flake))

    async def create(self, spec: Spec) -> None:
        """Give the container the system that was built, or make one that has it; a running one takes it when it ends.

        `nixos-container update` would switch a running one to it at once, under its agent.
        """
        async with self._alone(spec.name):
            self._check(spec)
            flake = await asyncio.to_thread(self._lay_flake, spec)
            if (await self._unit(spec.name)).busy:
                self._places(spec.name).pending.touch()
            else:
                await self._give(spec, flake)
            self._records.prepare()
            before = self._records.read(spec.name)
            self._records.write(Record(spec=spec, run=before.run if before else None))

    async def remove(self, name: str) -> None:
        """Destroy the container; its state lies elsewhere."""
        async with self._alone(name):
            if (await self._unit(name)).busy:
                raise StillRunning(name)
            if f"h-{name}" in await self._listed():
                await runner.check(nixos_build.act_argv("destroy", name), deadline_seconds=systemd.ACT_SECONDS)
        await super().remove(name)

    async def command(
        self, spec: Spec, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Return the argv of a program in the running container, as its agent."""
        self._check(spec)
        return nixos_build.terminal_argv(
            spec.name, host.way_out_argv(spec, argv), {**self._environment(spec), **(environment or {})}
        )

    async def _listed(self) -> list[str]:
        listed = await runner.check(nixos_build.LIST, deadline_seconds=systemd.LOOK_SECONDS)
        return listed.text.split()

    async def _give(self, spec: Spec, flake: Path) -> None:
        """Build what is not built, and make it the container's; one that does not run is changed, and nothing else."""
        if spec.container in await self._listed():
            make = nixos_build.update_argv
        elif len(spec.container) <= nixos_build.MAX_CREATED:
            make = nixos_build.create_argv
        else:
            await asyncio.to_thread(self._lay_conf, spec)
            make = nixos_build.update_argv
        await self._nix(spec.name, make(spec.name, flake))
        self._places(spec.name).pending.unlink(missing_ok=True)

    async def _nix(self, name: str, argv: Sequence[str]) -> None:
        # In a directory of its own: `nixos-container` leaves what it builds beside it for a moment, as `.tmp`.
        cache = Path(os.environ.get("CACHE_DIRECTORY", self._run_dir / "cache"))
        await runner.check(
            argv,
            deadline_seconds=BUILD_SECONDS,
            environment=nixos_build.environment(cache),
            directory=self._places(name).directory,
        )

    def _start_argv(self, name: str) -> tuple[str, ...]:
        return nixos_build.act_argv("start", name)

    def _stop_argv(self, name: str) -> tuple[str, ...]:
        return nixos_build.act_argv("stop", name)

    async def _furnish(self, spec: Spec) -> str:
        places = self._places(spec.name)
        if places.pending.exists():
            await self._give(spec, places.flake)
        await asyncio.to_thread(self._write, spec)
        return nixos_build.dropin(spec, places, owner=(os.geteuid(), os.getegid()))

    def _write(self, spec: Spec) -> None:
        places = self._places(spec.name)
        self._machines.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(len(machine.owned(spec))):
            places.mounted(number).mkdir(mode=0o755, parents=True, exist_ok=True)
        systemd.lay(places.etc / "environment", nixos_build.environment_file(self._environment(spec)))
        with contextlib.suppress(FileExistsError):
            os.mkfifo(places.output, 0o600)
        os.chown(places.output, sandbox.UID, sandbox.UID)
        acl.admit(spec.socket_dir, sandbox.UID)
        self._lay_conf(spec)

    def _lay_conf(self, spec: Spec) -> None:
        places = self._places(spec.name)
        systemd.lay(self.confs / f"{spec.container}.conf", nixos_build.conf(spec, places, places.flake))
        profile = nixos_build.PROFILES / spec.container
        # Nobody else of the host may look for users of the same numbers there.
        profile.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        profile.mkdir(mode=0o755, exist_ok=True)

    def _lay_flake(self, spec: Spec) -> Path:
        """Write what Nix then copies into its store, where everybody can read it."""
        flake = self._places(spec.name).flake
        self._machines.mkdir(mode=0o700, parents=True, exist_ok=True)
        flake.parent.mkdir(exist_ok=True)
        copy_sources(spec.build, flake)
        email = spec.environment.get("GIT_AUTHOR_EMAIL", f"{spec.name}@hive.invalid")
        for name, text in nixos_flake.generated(spec.name, email, self._flake).items():
            if name == nixos_flake.FLAKE or not (flake / name).exists():
                (flake / name).write_text(text)
        return flake

    def _environment(self, spec: Spec) -> dict[str, str]:
        return sandbox.sandbox_environment(spec, self._python)
