"""Chooses runtimes by their names, and never another one in silence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hyperhive.runtimes.bubblewrap import Bubblewrap
from hyperhive.runtimes.nixos import Nixos
from hyperhive.runtimes.nixos_flake import HYPERHIVE
from hyperhive.runtimes.nspawn import Nspawn
from hyperhive.runtimes.podman import Podman
from hyperhive.runtimes.process import Process
from hyperhive.runtimes.protocol import Probe, Runtime, RuntimeUnavailable, UnknownRuntime

AUTO = "auto"
NAMES = (Bubblewrap.name, Podman.name, Nspawn.name, Nixos.name, Process.name)
"""What needs the least first."""
STRENGTH = (Nspawn.name, Bubblewrap.name, Podman.name, Nixos.name)
"""Strongest first (docs/runtimes.md): only nspawn's agents are users that nobody else on the host is. The next two keep
the same things apart, bubblewrap with less between agent and kernel; NixOS's containers have the host's users."""


def build(
    name: str,
    *,
    run_dir: Path,
    hive: str,
    program: Sequence[str] | None = None,
    image: Path | None = None,
    images: Path | None = None,
    flake: str = HYPERHIVE,
) -> Runtime:
    """Return the runtime of this name, untried; raises `UnknownRuntime`.

    Each has a place and a mark of its own, so that several can have agents of one hive. Bubblewrap's are the hive's.
    ``image`` is what nspawn's machines are made of, laid out below ``images`` where it is a tarball; ``flake`` is what
    NixOS's containers build on.
    """
    match name:
        case Bubblewrap.name:
            return Bubblewrap(run_dir=run_dir, hive=hive, program=program)
        case Podman.name:
            return Podman(run_dir=run_dir / name, hive=f"{hive}.{name}", program=program)
        case Nspawn.name:
            return Nspawn(run_dir=run_dir / name, hive=f"{hive}.{name}", program=program, image=image, images=images)
        case Nixos.name:
            return Nixos(run_dir=run_dir / name, hive=f"{hive}.{name}", program=program, flake=flake)
        case Process.name:
            return Process(run_dir=run_dir / name, hive=f"{hive}.{name}", program=program)
        case _:
            raise UnknownRuntime(name, (*NAMES, AUTO))


def used(run_dir: Path) -> list[str]:
    """Return the runtimes that have, or had, containers in this run directory."""
    places = {Bubblewrap.name: run_dir / "containers", **{name: run_dir / name for name in NAMES[1:]}}
    return [name for name, place in places.items() if place.is_dir()]


async def choose(
    name: str,
    *,
    run_dir: Path,
    hive: str,
    program: Sequence[str] | None = None,
    image: Path | None = None,
    images: Path | None = None,
    flake: str = HYPERHIVE,
) -> tuple[Runtime, Probe]:
    """Return the runtime of this name, which works here, and how; `auto` is the strongest that works and isolates.

    Raises `UnknownRuntime`, `RuntimeUnavailable`. `process` keeps nothing apart and has to be asked for by name, so
    `auto` never ends there.
    """
    refused: list[tuple[str, Probe]] = []
    for candidate in STRENGTH if name == AUTO else (name,):
        runtime = build(candidate, run_dir=run_dir, hive=hive, program=program, image=image, images=images, flake=flake)
        probe = await runtime.probe()
        if probe.ok:
            return runtime, probe
        refused.append((candidate, probe))
    refused.sort(key=lambda one: NAMES.index(one[0]))
    raise RuntimeUnavailable(refused[0][0], _all(refused))


def _all(refused: Sequence[tuple[str, Probe]]) -> Probe:
    """Say why each was refused, beginning with the one that is mended with the least."""
    (_, first), *others = refused
    more = "".join(f" {name} neither: {probe.detail} {probe.remedy}".rstrip() for name, probe in others)
    return Probe(ok=False, detail=first.detail, remedy=f"{first.remedy}{more}")
