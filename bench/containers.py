"""Each runtime: start to first recv beside the bare tool starting `true`, 20 agents at once, an idle one's memory."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.figures import at_most, median, note, number
from bench.memory import MEGABYTE, wait_for_recv
from hyperhive.runtimes import procfs, runner
from hyperhive.runtimes.choose import build
from hyperhive.runtimes.confinement import Egress, Limits
from hyperhive.runtimes.marks import with_descendants
from hyperhive.runtimes.oci import BASE
from hyperhive.runtimes.protocol import Runtime, Spec

STARTS = 5
TOGETHER = 20
FLOORS_SECONDS = {"bubblewrap": 1.5, "podman": 4.0, "nspawn": 4.0}
"""nspawn needs a host that systemd runs, and root."""
BARE = {
    "bubblewrap": ("bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"),
    "podman": ("podman", "--runtime", "runc", "run", "--rm", "--network", "none", "--ulimit", "nofile=1024:1024",
               "--ulimit", "nproc=1024:1024", "--volume", "/usr:/usr:ro", BASE, "/usr/bin/true"),
    "nspawn": ("systemd-nspawn", "--register=no", "--volatile=yes", "--directory=/", "--private-network", "true"),
}  # fmt: skip
DEADLINE_SECONDS = 60.0


@contextmanager
def listening(spec: Spec) -> Iterator[socket.socket]:
    """Listen where the harness will ask."""
    path = spec.socket_dir / "agent.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(DEADLINE_SECONDS)
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen()
        yield listener


def spec_of(place: Path, name: str, generation: int) -> Spec:
    """Make an agent's directories."""
    state, sockets = place / name / "state", place / name / "socket"
    for directory in (state, sockets):
        directory.mkdir(parents=True, exist_ok=True)
    limits = Limits(memory_bytes=4 << 30, tasks=1024)
    log = place / f"{name}.log"
    return Spec(
        name=name, state=state, socket_dir=sockets, log=log, generation=generation, limits=limits, egress=Egress()
    )


async def start(runtime: Runtime, spec: Spec) -> float:
    """Return the seconds from create to the harness's first recv."""
    with listening(spec) as listener:
        begin = time.perf_counter()
        await runtime.create(spec)
        heard = asyncio.get_running_loop().run_in_executor(None, wait_for_recv, listener)
        await runtime.start(spec.name)
        await heard
        return time.perf_counter() - begin


async def bare(argv: tuple[str, ...]) -> float:
    """Return the seconds of the tool alone, starting `true`."""
    begin = time.perf_counter()
    await runner.check(argv, deadline_seconds=DEADLINE_SECONDS)
    return time.perf_counter() - begin


def held(pids: list[int]) -> float:
    """Return what processes hold in memory that is theirs alone, in MB."""
    return sum(psutil.Process(pid).memory_full_info().uss for pid in pids) / MEGABYTE


async def measure(name: str, place: Path) -> None:
    """Measure one runtime, where it works."""
    runtime = build(name, run_dir=place / "run", hive=uuid.uuid4().hex)
    probe = await runtime.probe()
    if not probe.ok:
        note(f"{name} does not work here: {probe.detail}")
        return
    try:
        await figures(name, runtime, place)
    finally:
        for container in await runtime.list():
            await runtime.stop(container.name, 0)


async def figures(name: str, runtime: Runtime, place: Path) -> None:
    """Measure a runtime that works; what it leaves running is stopped by who called."""
    taken = []
    for generation in range(STARTS + 1):
        taken.append(await start(runtime, spec_of(place, "coder", generation)))
        await runtime.stop("coder", 0)
    at_most(f"{name}, start to first recv", median(taken[1:]), "s", FLOORS_SECONDS[name])
    note(f"{name}, the bare tool starting true: {number(median([await bare(BARE[name]) for _ in range(STARTS)]))} s")
    specs = [spec_of(place, f"agent-{index}", 1) for index in range(TOGETHER)]
    begin = time.perf_counter()
    for spec in specs:
        await runtime.create(spec)
    await asyncio.gather(*(runtime.start(spec.name) for spec in specs))
    note(f"{name}, {TOGETHER} agents side by side: all run after {number(time.perf_counter() - begin)} s")
    named = [procfs.find(pid) for pid in procfs.pids() if str(place) in " ".join(procfs.command_line(pid))]
    everything = with_descendants([found for found in named if found is not None])
    each_mb = held([process.pid for process in everything]) / TOGETHER
    note(f"{name}, memory of an idle agent with all beside it: {number(each_mb)} MB")


def main() -> None:
    """Measure and say."""
    for name in FLOORS_SECONDS:
        with tempfile.TemporaryDirectory(prefix="hh-", dir="/tmp") as place:
            asyncio.run(measure(name, Path(place)))
