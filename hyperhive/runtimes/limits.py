"""Keeps all processes of one agent within memory, processor time and tasks: by a systemd scope, by cgroups, by rlimits.

The strongest way that works here is taken, and it says which: a scope where systemd runs, groups of our own where we
may make them, and else limits of each single process, which an agent of many processes gets around in part.
"""

from __future__ import annotations

import contextlib
import enum
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from hyperhive.runtimes import runner
from hyperhive.runtimes.confinement import Limits
from hyperhive.runtimes.protocol import RuntimeFailed, RuntimeTimeout

CGROUPS = Path("/sys/fs/cgroup")
SYSTEMD = Path("/run/systemd/system")
"""There where systemd runs the machine (sd_booted(3))."""
PERIOD_MICROSECONDS = 100_000
"""Of the processor's quota: the kernel's default."""
_TRIAL_SECONDS = 10.0
_LEAST = Limits(memory_bytes=64 << 20, cpu_percent=100, tasks=64)
"""What a trial asks for."""


class Kind(enum.Enum):
    """How limits are kept."""

    SCOPE = "a systemd scope for each agent"
    CGROUP2 = "a cgroup for each agent"
    CGROUP1 = "cgroups (version 1) for each agent"
    RLIMITS = "limits of each process alone (no cgroup may be made here); processor time is not limited"


_ROOTS = ", nor is the number of tasks, since the daemon is root"
"""The kernel counts no processes of root's, also where they are another user's inside (RLIMIT_NPROC, getrlimit(2))."""
_TIMELESS = "; processor time is not limited, since this user's systemd was not given the controller cpu"
_ENDS = " (this systemd ends an agent as a whole when one of its programs takes too much memory)"


@attrs.frozen(kw_only=True)
class Way:
    """How this machine keeps limits; ``groups`` are the cgroups below which ours are made, by controller."""

    kind: Kind
    user: bool = False
    """Whether the scope is one of the user's own systemd."""
    groups: Mapping[str, Path] = attrs.field(factory=dict)
    program: str | None = None
    """systemd-run, or prlimit."""
    policy: bool = False
    """Whether a scope may say what becomes of it when the kernel kills one of its processes for want of memory."""
    goes_on: bool = True
    """Whether an agent lives on then."""
    time: bool = True
    """Whether a scope can limit processor time: to a user's systemd that may not have been given."""

    @property
    def counts_tasks(self) -> bool:
        """Whether there is a limit of tasks at all."""
        return self.kind is not Kind.RLIMITS or os.geteuid() != 0

    @property
    def detail(self) -> str:
        """Say how limits are kept, and which are not."""
        unless = ((self.counts_tasks, _ROOTS), (self.time, _TIMELESS), (self.goes_on, _ENDS))
        return self.kind.value + "".join(said for held, said in unless if not held)


async def find(hive: str) -> Way:
    """Try what works here, strongest first."""
    for way in (await _scope(), _cgroup2(), _cgroup1()):
        if way is not None and (way.kind is Kind.SCOPE or _may_make(way, hive)):
            return way
    return Way(kind=Kind.RLIMITS, program=shutil.which("prlimit", path=runner.HOST_PATH))


def scope_argv(way: Way, unit: str, limits: Limits) -> tuple[str, ...]:
    """Return what stands before a command line so that it runs in a scope; systemd-run becomes that command."""
    assert way.program is not None  # noqa: S101 - found by `find`
    memory, cpu, tasks = limits.memory_bytes, limits.cpu_percent, limits.tasks
    return (
        *(way.program, *(("--user",) if way.user else ()), "--scope", "--quiet", "--collect", f"--unit={unit}"),
        *(("--property=OOMPolicy=continue",) if memory and way.policy else ()),
        *((f"--property=MemoryMax={memory}", "--property=MemorySwapMax=0") if memory else ()),
        *((f"--property=CPUQuota={cpu}%",) if cpu else ()),
        *((f"--property=TasksMax={tasks}",) if tasks else ()),
        "--",
    )


def rlimit_argv(way: Way, limits: Limits) -> tuple[str, ...]:
    """Return what stands before the program inside a sandbox, whose user namespace counts its processes apart."""
    if way.kind is not Kind.RLIMITS or way.program is None or (limits.memory_bytes, limits.tasks) == (None, None):
        return ()
    memory = () if limits.memory_bytes is None else (f"--data={limits.memory_bytes}",)
    tasks = () if limits.tasks is None else (f"--nproc={limits.tasks}",)
    return (way.program, *memory, *tasks, "--")


def settings(way: Way, limits: Limits) -> dict[str, dict[str, str]]:
    """Return what is written into a group's files, by controller."""
    memory, cpu, tasks = limits.memory_bytes, limits.cpu_percent, limits.tasks
    quota = None if cpu is None else cpu * PERIOD_MICROSECONDS // 100
    if way.kind is Kind.CGROUP2:
        return {
            "memory": {} if memory is None else {"memory.max": str(memory), "memory.swap.max": "0"},
            "cpu": {} if quota is None else {"cpu.max": f"{quota} {PERIOD_MICROSECONDS}"},
            "pids": {} if tasks is None else {"pids.max": str(tasks)},
        }
    return {
        # In this order: the sum with swap may not be below the memory alone.
        "memory": {}
        if memory is None
        else {"memory.limit_in_bytes": str(memory), "memory.memsw.limit_in_bytes": str(memory)},
        "cpu": {} if quota is None else {"cpu.cfs_period_us": str(PERIOD_MICROSECONDS), "cpu.cfs_quota_us": str(quota)},
        "pids": {} if tasks is None else {"pids.max": str(tasks)},
    }


def groups(way: Way, hive: str, container: str, limits: Limits) -> list[Path]:
    """Return the groups that one container is to be in, where limits are kept by cgroups."""
    if not way.groups:
        return []
    wanted = [controller for controller, files in settings(way, limits).items() if files]
    return list(dict.fromkeys(way.groups[each] / f"hyperhive-{hive}-{container}" for each in wanted))


def make(way: Way, hive: str, container: str, limits: Limits) -> None:
    """Make the groups of one container, with its limits; raises `RuntimeFailed`."""
    for group in groups(way, hive, container, limits):
        try:
            group.mkdir(exist_ok=True)
        except OSError as error:
            raise RuntimeFailed(("mkdir", str(group)), None, error.strerror or str(error)) from error
    for controller, files in settings(way, limits).items() if way.groups else ():
        for name, value in files.items():
            _write(way.groups[controller] / f"hyperhive-{hive}-{container}" / name, value)


def remove(made: Iterable[Path]) -> None:
    """Remove groups in which nothing lives any more; one that is gone, or not empty yet, is left."""
    for group in made:
        with contextlib.suppress(OSError):
            group.rmdir()


def _write(file: Path, value: str) -> None:
    # Kernels without accounting of swap have no file for it.
    if ("swap" in file.name or "memsw" in file.name) and not file.exists():
        return
    try:
        file.write_text(value)
    except OSError as error:
        raise RuntimeFailed(("write", str(file), value), None, error.strerror or str(error)) from error


async def _scope() -> Way | None:
    """Return the way by systemd, where it gives the limits that it is asked for."""
    program = shutil.which("systemd-run", path=runner.HOST_PATH)
    if program is None or not SYSTEMD.is_dir():  # noqa: ASYNC240 - in memory
        return None
    unified = (CGROUPS / "cgroup.controllers").exists()
    for policy in (True, False):
        # An older systemd knows none for a scope, and ends it as a whole where it hears of it: by cgroup v2.
        goes_on = policy or not unified
        way = Way(kind=Kind.SCOPE, user=os.geteuid() != 0, program=program, policy=policy, goes_on=goes_on)
        # A name of its own: the scope of a trial that has just ended is still there for a moment.
        argv = (*scope_argv(way, f"hyperhive-trial-{secrets.token_hex(6)}", _LEAST), "cat", "/proc/self/cgroup")
        try:
            said = await runner.check(argv, deadline_seconds=_TRIAL_SECONDS, environment=environment(way))
        except (RuntimeFailed, RuntimeTimeout):
            continue
        if not way.user:
            return way
        given = _delegated(said.text)
        return attrs.evolve(way, time="cpu" in given) if given >= {"memory", "pids"} else None
    return None


def _delegated(said: str) -> set[str]:
    """Return the controllers that a user's scope had; systemd says nothing where one was missing."""
    path = next((line.split("::", 1)[1] for line in said.splitlines() if line.startswith("0::")), "")
    above = CGROUPS / Path(path).parent.relative_to("/") if path else CGROUPS
    try:
        return set((above / "cgroup.subtree_control").read_text().split())
    except OSError:
        return set()


def environment(way: Way) -> dict[str, str]:
    """Return the environment of a command line; a user's systemd is found by two variables more."""
    if way.kind is not Kind.SCOPE or not way.user:
        return runner.HOST_ENVIRONMENT
    names = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
    return {**runner.HOST_ENVIRONMENT, **{name: os.environ[name] for name in names if name in os.environ}}


def _cgroup2() -> Way | None:
    own = _own("")
    if own is None or not (CGROUPS / "cgroup.controllers").exists():
        return None
    group = CGROUPS / own
    try:
        enabled = set((group / "cgroup.subtree_control").read_text().split())
    except OSError:
        return None
    controllers = ("memory", "cpu", "pids")
    return Way(kind=Kind.CGROUP2, groups=dict.fromkeys(controllers, group)) if enabled >= set(controllers) else None


def _cgroup1() -> Way | None:
    groups = {
        controller: CGROUPS / controller / own
        for controller in ("memory", "cpu", "pids")
        if (own := _own(controller)) is not None
    }
    return Way(kind=Kind.CGROUP1, groups=groups) if len(groups) == 3 else None


def _own(controller: str) -> Path | None:
    """Return the daemon's own cgroup, below which its agents' stand, so that what limits it limits them, too."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return Path(path).relative_to("/")
    return None


def _may_make(way: Way, hive: str) -> bool:
    trial = f"trial-{os.getpid()}"
    try:
        make(way, hive, trial, _LEAST)
    except RuntimeFailed:
        return False
    finally:
        remove(groups(way, hive, trial, _LEAST))
    return True
