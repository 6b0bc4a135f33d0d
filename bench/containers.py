"""Each runtime: start to first recv beside the bare tool starting `true`, 20 agents at once, an idle one's memory.

nspawn needs a host that systemd runs: where this machine is none, the tests' own is booted, and the measuring is done
in there.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from bench.figures import Rounds, at_most, median, note, number, ratio
from bench.memory import DEADLINE_SECONDS as ANSWER_SECONDS
from bench.memory import MEGABYTE, until_recv
from hyperhive.runtimes import host, procfs, runner, systemd
from hyperhive.runtimes.choose import build
from hyperhive.runtimes.confinement import Egress, Limits
from hyperhive.runtimes.marks import with_descendants
from hyperhive.runtimes.oci import BASE
from hyperhive.runtimes.protocol import Runtime, Spec
from tests.host.booted import REPOSITORY, booted, reason_against

STARTS = 5
TOGETHER = 20
FLOORS_SECONDS = {"bubblewrap": 1.5, "podman": 4.0, "nspawn": 4.0, "process": None}
"""What is claimed, of those of which something is."""
BARE = {
    "bubblewrap": ("bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"),
    "podman": ("podman", "--runtime", "runc", "run", "--rm", "--network", "none", "--ulimit", "nofile=1024:1024",
               "--ulimit", "nproc=1024:1024", "--volume", "/usr:/usr:ro", BASE, "/usr/bin/true"),
    "nspawn": ("systemd-nspawn", "--quiet", "--volatile=yes", "--directory=/", "--private-network", "true"),
    "process": ("true",),
}  # fmt: skip
DEADLINE_SECONDS = 60.0


class Answerer:
    """The daemon's side of one agent's socket: yes to all, until it is asked for mail, which it keeps waiting."""

    def __init__(self, spec: Spec, open_: ExitStack) -> None:
        path = spec.socket_dir / "agent.sock"
        path.unlink(missing_ok=True)
        self._open = open_
        self._listener = open_.enter_context(socket.socket(socket.AF_UNIX))
        self._listener.settimeout(DEADLINE_SECONDS)
        self._listener.bind(str(path))
        path.chmod(0o660)
        self._listener.listen()
        self._asked = threading.Event()
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        try:
            connection = self._open.enter_context(self._listener.accept()[0])
        except OSError:  # its start failed, which is told elsewhere
            return
        connection.settimeout(ANSWER_SECONDS)
        until_recv(connection)
        self._asked.set()

    async def asked(self) -> None:
        """Wait until it was asked for mail."""
        if not await asyncio.get_running_loop().run_in_executor(None, self._asked.wait, DEADLINE_SECONDS):
            raise TimeoutError("the harness did not ask for its mail")


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
    with ExitStack() as open_:
        answerer = Answerer(spec, open_)
        begin = time.perf_counter()
        await runtime.create(spec)
        await runtime.start(spec.name)
        await answerer.asked()
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
        await alone(name, runtime, place)
        await together(name, runtime, place)
    finally:
        for container in await runtime.list():
            await runtime.stop(container.name, 0)


async def alone(name: str, runtime: Runtime, place: Path) -> None:
    """Start one agent and the bare tool in turn."""
    found: dict[str, list[float]] = {"ours": [], "bare": []}
    for generation in range(STARTS + 1):
        found["ours"].append(await start(runtime, spec_of(place, "coder", generation)))
        await runtime.stop("coder", 0)
        found["bare"].append(await bare(BARE[name]))
    rounds: Rounds = {which: taken[1:] for which, taken in found.items()}
    ours, tool = median(rounds["ours"]), median(rounds["bare"])
    what, claim = f"{name}, start to first recv", FLOORS_SECONDS[name]
    if claim is None:
        note(f"{what}: {number(ours)} s")
    else:
        at_most(what, ours, "s", claim)
    note(f"{name}, the bare tool starting true: {number(tool)} s, ratio {ratio(rounds, 'ours', 'bare'):.2f}")


async def together(name: str, runtime: Runtime, place: Path) -> None:
    """Start many at once, and look at what they hold while they wait for mail."""
    specs = [spec_of(place, f"agent-{index}", 1) for index in range(TOGETHER)]
    with ExitStack() as open_:
        answerers = [Answerer(spec, open_) for spec in specs]
        begin = time.perf_counter()
        for spec in specs:
            await runtime.create(spec)
        await asyncio.gather(*(runtime.start(spec.name) for spec in specs))
        run = time.perf_counter() - begin
        for answerer in answerers:
            await answerer.asked()
        asked = time.perf_counter() - begin
        note(f"{name}, {TOGETHER} agents side by side: run after {number(run)} s, first recv of all {number(asked)} s")
        named = [procfs.find(pid) for pid in procfs.pids() if str(place) in " ".join(procfs.command_line(pid))]
        everything = with_descendants([found for found in named if found is not None])
        each_mb = held([process.pid for process in everything]) / TOGETHER
        note(f"{name}, memory of an idle agent with all beside it: {number(each_mb)} MB")


def here(name: str) -> None:
    """Measure on this machine."""
    # Not under TMPDIR: a socket's path is short.
    with tempfile.TemporaryDirectory(prefix="hh-", dir="/tmp") as place:
        asyncio.run(measure(name, Path(place)))


def there(name: str) -> None:
    """Measure on a host that systemd runs, booted for it."""
    if reason := reason_against():
        note(f"{name} does not work here, and no host is booted to measure it: {reason}")
        return
    with booted(shown={path: path for path in (REPOSITORY, *host.python().trees)}) as made:
        argv = ("env", "-C", str(REPOSITORY), sys.executable, "-B", "-m", "bench.containers", name)
        print(made.said(*argv).rstrip(), flush=True)
        note(f"({name} was measured on a Debian booted for it in a container of this machine)")


def main(names: Sequence[str] = tuple(FLOORS_SECONDS)) -> None:
    """Measure and say."""
    for name in names:
        elsewhere = name == "nspawn" and not systemd.running()
        (there if elsewhere else here)(name)


if __name__ == "__main__":
    main(sys.argv[1:])
