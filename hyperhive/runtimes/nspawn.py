"""The runtime of systemd's machines: each agent boots one of its own, as a unit of the host's systemd."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from hyperhive.runtimes import acl, host, machine, procfs, runner, sandbox, systemd, systems, trees, users
from hyperhive.runtimes.booted import Booted
from hyperhive.runtimes.confinement import Egress, EgressPolicy
from hyperhive.runtimes.machine import Machine
from hyperhive.runtimes.protocol import Probe, RuntimeTrouble, Spec
from hyperhive.runtimes.runner import HOST_ENVIRONMENT, HOST_PATH

_PROBE_SECONDS = 20.0
_log = structlog.get_logger(__name__)
_PROGRAMS = ("systemd-nspawn", "machinectl", "systemctl", "journalctl")


class Nspawn(Booted):
    """Runs each agent in a machine `h-<agent>`; docs/runtimes.md says what it keeps apart.

    ``image`` is the root of a system with systemd, or a tarball of one, which is laid out below ``images`` and kept
    there as long as a daemon starts with it; without one the host's own /usr is shown, read-only.
    """

    name = "nspawn"
    isolated = True
    template = "systemd-nspawn@%s.service"

    def __init__(
        self,
        *,
        run_dir: Path,
        hive: str,
        program: Sequence[str] | None = None,
        image: Path | None = None,
        images: Path | None = None,
    ) -> None:
        super().__init__(run_dir=run_dir, hive=hive, program=program)
        self._image = image
        self._images = images or run_dir / "images"
        self._root: Path | None = None
        self._laying = asyncio.Lock()
        self._sweeper = trees.Sweeper()
        self._chosen: dict[str, int] = {}
        self._probe: Probe | None = None

    async def probe(self) -> Probe:
        """Run `true` in a machine like an agent's, once; a success is remembered, a refusal is tried again."""
        if self._probe is None or not self._probe.ok:
            self._probe = await self._try()
        return self._probe

    async def command(
        self, spec: Spec, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Return the argv of a second machine with the same files, which ends with the terminal's program."""
        self._check(spec)
        made = await self._machine(spec)
        await asyncio.to_thread(self._write, made)
        inner = machine.terminal_argv(
            made,
            host.way_out_argv(spec, argv),
            {**self._environment(spec), **(environment or {})},
            machine_name=f"t-{secrets.token_hex(6)}",
        )
        outer = (f"{name}={value}" for name, value in HOST_ENVIRONMENT.items())
        return ("/usr/bin/env", "-i", *outer, *inner)

    async def start(self, name: str) -> None:
        """Boot the machine; what it leaves behind by that is removed."""
        await super().start(name)
        await self._discard()

    async def _furnish(self, spec: Spec) -> str:
        made = await self._machine(spec)
        await asyncio.to_thread(self._write, made)
        return machine.dropin(made)

    async def _clear(self, name: str) -> None:
        self._chosen.pop(name, None)
        await super()._clear(name)

    async def _system(self) -> Path | None:
        """Return the root of machines' system; where it is a tarball, of what that held when it was first asked for."""
        if self._image is None:
            return None
        async with self._laying:
            if self._root is None or not await asyncio.to_thread(self._root.is_dir):
                self._root = await systems.root_of(self._image, self._images)
            return self._root

    async def _discard(self) -> None:
        """Remove the trees of former tarballs that no machine has mounted any more."""
        keep = {self._root.name} if self._root is not None and self._root.parent == self._images else set()
        if not await asyncio.to_thread(trees.untidy, self._images, keep):
            return
        try:
            async with trees.alone(self._images):
                await asyncio.to_thread(trees.set_aside, self._images, keep)
            self._sweeper.sweep(self._images)
        except OSError as error:
            # The machine runs all the same; the next start tries again.
            _log.warning("old_images_stay", directory=str(self._images), error=str(error))

    async def _machine(self, spec: Spec) -> Machine:
        root = await self._system()
        if spec.name not in self._chosen:
            running = await self._range(spec.name)
            taken = set() if running else await asyncio.to_thread(users.in_use)
            taken |= {(first, machine.RANGE) for first in self._chosen.values()}
            # Again, since other starts went on meanwhile; from here to the note nothing waits.
            taken |= {(first, machine.RANGE) for first in self._chosen.values()}
            self._chosen[spec.name] = running or users.choose(f"{self._hive}/{spec.name}", taken)
        return Machine(
            spec=spec,
            places=self._places(spec.name),
            first_uid=self._chosen[spec.name],
            owner=(os.geteuid(), os.getegid()),
            python=self._python,
            system=sandbox.system(self._machines),
            image=root,
        )

    async def _range(self, name: str) -> int | None:
        """Return the first user of a machine that runs already."""
        unit = await self._unit(name)
        for first in procfs.children(unit.main_pid) if unit.main_pid else ():
            if found := users.first_of(first):
                return found
        return None

    def _environment(self, spec: Spec) -> dict[str, str]:
        return sandbox.sandbox_environment(spec, self._python)

    def _write(self, made: Machine) -> None:
        """Write the files that the machine is shown; it sees them as nobody's, so they are open to all."""
        places = made.places
        self._machines.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(len(machine.owned(made.spec))):
            places.mounted(number).mkdir(mode=0o755, parents=True, exist_ok=True)
        places.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        generated = {**sandbox.GENERATED, "machine-id": f"{_machine_id(self._hive, made.spec.name)}\n"}
        for name, text in generated.items():
            systemd.lay(places.etc / name, text)
        for path, text in machine.inner_files(made, self._harness, self._environment(made.spec)).items():
            systemd.lay(places.systemd / path, text)
        if made.image is None:
            _skeleton(places.root, made)
        if not places.output.exists():
            os.mkfifo(places.output, 0o600)
        os.chown(places.output, made.agent_uid, made.agent_uid)
        acl.admit(made.spec.socket_dir, made.agent_uid)

    async def _try(self) -> Probe:
        if missing := _missing():
            return missing
        try:
            root = await self._system()
        except systems.BadImage as error:
            return Probe(ok=False, detail=f"{error}.", remedy="docs/install/debian.md says how an image is made.")
        try:
            self._run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Not in /tmp, which may be the daemon's own: systemd is to find it.
            with tempfile.TemporaryDirectory(prefix="probe-", dir=self._run_dir) as place:
                await self._trial(Path(place), root)
        except (RuntimeTrouble, OSError) as error:
            said = getattr(error, "output", "") or str(error)
            return Probe(
                ok=False,
                detail=f"systemd-nspawn does not boot a machine here. It said: {said.strip()}",
                remedy="docs/runtimes.md lists what it needs; 'hyperhive doctor' tries again.",
            )
        where = f"the image {self._image}" if self._image else "the host's /usr, read-only"
        return Probe(ok=True, detail=f"systemd-nspawn runs machines here, of {where}.")

    async def _trial(self, place: Path, root: Path | None) -> None:
        for name in ("state", "socket"):
            (place / name).mkdir()
        trial = Nspawn(run_dir=place, hive=secrets.token_hex(8), image=root)
        spec = Spec(
            name="probe",
            state=place / "state",
            socket_dir=place / "socket",
            log=place / "log",
            generation=0,
            egress=Egress(policy=EgressPolicy.NONE),
        )
        made = await trial._machine(spec)
        await asyncio.to_thread(trial._write, made)
        inner = machine.terminal_argv(made, ("/usr/bin/true",), {}, machine_name=f"t-{secrets.token_hex(6)}")
        # By systemd: the daemon's own unit may forbid to itself what it lets systemd do.
        argv = ("systemd-run", "--wait", "--pipe", "--collect", "--quiet", "--property=Delegate=yes", "--", *inner)
        await runner.check(argv, deadline_seconds=_PROBE_SECONDS)


def _missing() -> Probe | None:
    """Return what this machine lacks, where nothing needs to be tried."""
    if os.geteuid() != 0:
        return Probe(
            ok=False,
            detail="only root has machines run, and this is not root.",
            remedy="Run the daemon as root (packaging/ has a unit), or use bubblewrap.",
        )
    if not systemd.running():
        return Probe(
            ok=False,
            detail="systemd does not run this machine (there is no /run/systemd/system).",
            remedy="Use bubblewrap or podman here.",
        )
    for program in _PROGRAMS:
        if shutil.which(program, path=HOST_PATH) is None:
            return Probe(
                ok=False,
                detail=f"{program} is not installed.",
                remedy="Install the package systemd-container (apt, dnf); on Arch it is part of systemd.",
            )
    return None


def _machine_id(hive: str, name: str) -> str:
    """Return the same id for the same agent of a hive, machine-id(5)."""
    return hashlib.sha256(f"{hive}/{name}".encode()).hexdigest()[:32]


def _skeleton(root: Path, made: Machine) -> None:
    """Make the tree that a machine of the host's own /usr begins with, for the machine's root."""
    for name in ("etc", "root", "usr", "var"):
        (root / name).mkdir(exist_ok=True)
        (root / name).chmod(0o755)
    for name, target in made.system.roots:
        if target is None:
            (root / name).mkdir(exist_ok=True)
        elif not (root / name).is_symlink():
            (root / name).symlink_to(target)
    if not (root / "var/tmp").is_symlink():
        (root / "var/tmp").symlink_to("../tmp")
    # Without it systemd-nspawn takes the tree for no system.
    (root / "etc/os-release").write_text("ID=linux\n")
    (root / "etc/os-release").chmod(0o644)
    for path in (root, *root.rglob("*")):
        os.chown(path, made.first_uid, made.first_uid, follow_symlinks=False)
