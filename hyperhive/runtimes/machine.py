"""Builds what a systemd-nspawn machine is made of: command lines and unit files, as functions of values."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from hyperhive.runtimes import idmap, keeper, logs, unit_text
from hyperhive.runtimes.confinement import EgressPolicy, Limits
from hyperhive.runtimes.host import SYSTEM, Python, comes_along, inside, resolve
from hyperhive.runtimes.keeper import SHELL
from hyperhive.runtimes.protocol import Spec, container_name
from hyperhive.runtimes.sandbox import GENERATED, SOCKET_DIR, STATE, UID, System

RANGE = 65_536
"""How many users a machine has."""
OUTPUT = "/run/hive-output"
TARGET = "hive.target"
KEEP = Path(__file__).with_name("keep.sh").read_text()
KEEPERS = frozenset({"sh", "bash", "mkfifo", "tee", "env", "sleep"})
"""All that this script starts, or is: whatever else runs in its unit is the agent's own."""
POWER_OFF = Path(__file__).with_name("power_off.sh").read_text()
ON_TERMINAL = 'if [ -t 0 ] && [ -t 1 ]; then kind=interactive; else kind=pipe; fi; exec "$0" --console="$kind" "$@"'
EXIT = 'printf "%s %s\\n" "$EXIT_CODE" "$EXIT_STATUS" >"$0"'

DOORS = "@keyring bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register open_by_handle_at"
"""System calls that no agent needs, and that holes in the kernel are found behind (systemd.exec(5))."""

_GRACE_SECONDS = 660
"""Inside; more than any grace of the host's, which ends it."""
_JOURNAL_BYTES = 16 * 1024 * 1024


@attrs.frozen(kw_only=True)
class Places:
    """What the runtime keeps of one machine."""

    directory: Path

    @property
    def root(self) -> Path:
        """The tree below the overlay, where no image is configured."""
        return self.directory / "root"

    @property
    def systemd(self) -> Path:
        """The machine's /etc/systemd."""
        return self.directory / "systemd"

    @property
    def etc(self) -> Path:
        """Files that are written for it."""
        return self.directory / "etc"

    @property
    def flake(self) -> Path:
        """What its system is built from, where it is built."""
        return self.directory / "flake"

    @property
    def pending(self) -> Path:
        """The file that is there while its next start has another system than it runs."""
        return self.directory / "pending"

    @property
    def output(self) -> Path:
        """The FIFO between its program and the relay."""
        return self.directory / "output"

    @property
    def mark(self) -> Path:
        """The file with the variable that marks it."""
        return self.directory / "mark"

    @property
    def exit(self) -> Path:
        """Where its unit leaves how it ended."""
        return self.directory / "exit"

    def mounted(self, number: int) -> Path:
        """Name where a directory lies with the owners that the machine is to see."""
        return self.directory / "mounts" / str(number)


@attrs.frozen(kw_only=True)
class Machine:
    """Everything that a machine's command line follows from."""

    spec: Spec
    places: Places
    first_uid: int
    """The host's number of its root; the machine's users are this one and the next `RANGE` - 1."""
    owner: tuple[int, int]
    """The daemon's user and group, who have the agent's files on disk."""
    python: Python
    system: System
    image: Path | None = None

    @property
    def agent_uid(self) -> int:
        """The host's number of the user that the agent is."""
        return self.first_uid + UID


def owned(spec: Spec) -> Mapping[str, tuple[Path, bool]]:
    """Return the directories that are the agent's inside, by where it sees them, and whether it may write there."""
    return {
        str(STATE): (spec.state, True),
        **{seen: (path, True) for seen, path in spec.writable.items()},
        **{seen: (path, False) for seen, path in spec.read_only.items()},
    }


def relay_of(name: str) -> str:
    """Return the host's unit that keeps what it prints."""
    return f"hyperhive-output-{name}.service"


def harness_unit(name: str) -> str:
    """Return the unit of the harness inside."""
    agent, manager = logs.UNITS
    return manager if name == "manager" else agent


def journal_argv(name: str, lines: int, unit: str = "") -> tuple[str, ...]:
    """Return the command line that reads a running machine's journal, of this boot."""
    machine = ("journalctl", "-M", container_name(name), "-b", "--no-pager", "--output=short-iso", f"--lines={lines}")
    return (*machine, "-u", unit) if unit else machine


def owners_argv(machine: Machine) -> tuple[str, ...]:
    """Return the command line that shows the agent's directories as its own, before the one that it runs."""
    maps: list[str] = []
    for number, (path, _) in enumerate(owned(machine.spec).values()):
        user, group = map(str, machine.owner)
        maps += (str(path), str(machine.places.mounted(number)), user, group, str(machine.agent_uid), "1")
    if machine.image is not None:
        maps += (str(machine.image), str(machine.places.root), "0", "0", str(machine.first_uid), str(RANGE))
    return (sys.executable, "-I", str(Path(idmap.__file__)), *maps, "--")


def nspawn_argv(machine: Machine) -> tuple[str, ...]:
    """Return the command line that boots it."""
    options = ("--quiet", "--keep-unit", f"--machine={machine.spec.container}", "--boot")
    return ("systemd-nspawn", *options, *_confined(machine), f"systemd.unit={TARGET}", "systemd.show_status=0")


def terminal_argv(
    machine: Machine, argv: Sequence[str], environment: Mapping[str, str], *, machine_name: str
) -> tuple[str, ...]:
    """Return the command line that runs one program in a machine of the same kind, on a terminal if there is one."""
    options = (
        *("--quiet", "--register=no", f"--machine={machine_name}", f"--hostname={machine.spec.container}"),
        *("--as-pid2", f"--user={UID}", f"--chdir={STATE}"),
        *_confined(machine),
        *(f"--setenv={name}={value}" for name, value in environment.items()),
    )
    return (*owners_argv(machine), SHELL, "-c", ON_TERMINAL, "systemd-nspawn", *options, "--", *argv)


def dropin(machine: Machine) -> str:
    """Return the part that makes the host's unit of any machine the unit of this one."""
    spec = machine.spec
    relay = relay_of(spec.name)
    return (
        "# Written by hyperhive; gone with the agent's container.\n"
        "[Unit]\n"
        f"Description=hyperhive's agent {spec.name}\n"
        f"Wants={relay}\n"
        f"After={relay}\n"
        "\n"
        "[Service]\n"
        f"EnvironmentFile={unit_text.plain(str(machine.places.mark))}\n"
        "ExecStart=\n"
        f"ExecStart={unit_text.command((*owners_argv(machine), *nspawn_argv(machine)))}\n"
        f"ExecStopPost={unit_text.command((SHELL, '-c', EXIT, str(machine.places.exit)))}\n"
        "StandardInput=null\n"
        # 133 is a machine's way to ask for a reboot, which an agent could do for ever.
        "Restart=no\n"
        "RestartForceExitStatus=\n"
        "SuccessExitStatus=\n"
        "TimeoutStopSec=10\n"
        "OOMPolicy=continue\n"
        f"{''.join(limits(spec.limits))}"
    )


def relay_unit(spec: Spec, places: Places) -> str:
    """Return the host's unit that keeps what the machine's program prints."""
    relay = keeper.relay_argv(spec.log, logs.MAX_BYTES)
    return (
        "# Written by hyperhive; gone with the agent's container.\n"
        "[Unit]\n"
        f"Description=what hyperhive's agent {spec.name} prints\n"
        "\n"
        "[Service]\n"
        f"ExecStart={unit_text.command(relay)}\n"
        f"StandardInput=file:{unit_text.plain(str(places.output))}\n"
        "UMask=0077\n"
    )


def inner_unit(machine: Machine, argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the unit of the harness inside; with its end the machine ends, with its status."""
    spec = machine.spec
    return (
        "[Unit]\n"
        f"Description=the harness of {spec.name}\n"
        "DefaultDependencies=no\n"
        "Requires=systemd-journald.socket\n"
        "After=systemd-journald.socket systemd-journald.service\n"
        "Conflicts=shutdown.target\n"
        "Before=shutdown.target\n"
        "SuccessAction=exit-force\n"
        "FailureAction=exit-force\n"
        "\n"
        "[Service]\n"
        "Type=exec\n"
        f"ExecStart={unit_text.command((SHELL, '-c', KEEP, 'keep', OUTPUT, *argv))}\n"
        f"{unit_text.environment(environment)}"
        f"WorkingDirectory={STATE}\n"
        f"User={UID}\n"
        f"Group={UID}\n"
        f"RuntimeDirectory={harness_unit(spec.name).removesuffix('.service')}\n"
        f"ExecStopPost=+{unit_text.command((SHELL, '-c', POWER_OFF))}\n"
        "RuntimeDirectoryMode=0700\n"
        "UMask=0077\n"
        "SyslogIdentifier=harness\n"
        "KillMode=mixed\n"
        f"TimeoutStopSec={_GRACE_SECONDS}\n"
        "OOMPolicy=continue\n"
        "NoNewPrivileges=yes\n"
        "CapabilityBoundingSet=\n"
        "RestrictNamespaces=yes\n"
        "RestrictSUIDSGID=yes\n"
        "RestrictRealtime=yes\n"
        "LockPersonality=yes\n"
        "SystemCallArchitectures=native\n"
        "KeyringMode=private\n"
        # Netlink tells programs what addresses there are.
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n"
        f"SystemCallFilter=~{DOORS}\n"
        "SystemCallErrorNumber=EPERM\n"
    )


def inner_files(machine: Machine, argv: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the machine's whole /etc/systemd, by path: nothing else is ever started in it."""
    unit = harness_unit(machine.spec.name)
    return {
        f"system/{TARGET}": f"[Unit]\nDescription=an agent of a hive\nWants={unit}\nAfter={unit}\nAllowIsolate=yes\n",
        f"system/{unit}": inner_unit(machine, argv, environment),
        "journald.conf": f"[Journal]\nStorage=volatile\nRuntimeMaxUse={_JOURNAL_BYTES}\nForwardToWall=no\n",
        "system.conf": "[Manager]\nDefaultTimeoutStopSec=1s\nStatusUnitFormat=name\n",
    }


def trees(
    python: Python, readable: Sequence[Path], *, system: Sequence[Path] = (SYSTEM,)
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return the host's trees that the machine shows at their own paths, and the links that lead there.

    What lies in the host's ``system`` comes with that; an image has none of it.
    """
    links = dict(python.links)
    wanted = [*python.trees, *(resolve(path, links) for path in readable)]
    shown = [tree for tree in wanted if not inside(tree, [*system, *(other for other in wanted if other != tree)])]
    shown = list(dict.fromkeys(shown))
    return tuple(shown), tuple(link for link in links if not comes_along(link, shown, system=system))


def _confined(machine: Machine) -> Iterator[str]:
    """Give what every program of this agent's is kept in."""
    yield f"--directory={machine.places.root}"
    # Shared by several; with an overlay nothing is written to it anyway.
    yield from ("--read-only", "--volatile=overlay")
    yield from (f"--private-users={machine.first_uid}:{RANGE}", "--private-users-ownership=off")
    yield "--no-new-privileges=yes"
    yield from ("--link-journal=no", "--resolv-conf=off", "--timezone=off")
    if machine.spec.egress.policy is not EgressPolicy.HOST:
        yield "--private-network"
    yield from _binds(machine)


def _binds(machine: Machine) -> Iterator[str]:
    system, places = machine.system, machine.places
    shared = () if machine.image is not None else (SYSTEM,)
    shown, links = trees(machine.python, machine.spec.readable, system=shared)
    if machine.image is None:
        yield _read_only(SYSTEM)
        yield from (_read_only(Path("/", root)) for root, target in system.roots if target is None)
        if system.nix:
            yield _read_only(Path("/nix/store"))
        yield from (_read_only(Path("/etc", name)) for name in _etc(machine))
    else:
        # Its /root and /home are its own, and closed.
        tops = sorted({f"/{tree.parts[1]}" for tree in (*shown, *links)} & {"/home", "/root"})
        yield from (f"--tmpfs={top}:mode=0755" for top in tops)
    yield from (_read_only(places.etc / name, f"/etc/{name}") for name in (*GENERATED, "machine-id"))
    yield _read_only(places.systemd, "/etc/systemd")
    yield from (_read_only(path) for path in (*shown, *links))
    yield _read_only(machine.spec.socket_dir, str(SOCKET_DIR))
    yield _read_only(places.output, OUTPUT)
    for number, (seen, (_, write)) in enumerate(owned(machine.spec).items()):
        word = "--bind" if write else "--bind-ro"
        yield f"{word}={escaped(places.mounted(number))}:{escaped(seen)}"


def _etc(machine: Machine) -> Iterator[str]:
    """Name the host's files in /etc; without a network there is nothing to resolve."""
    for name in machine.system.etc:
        if name != "resolv.conf" or machine.spec.egress.policy is EgressPolicy.HOST:
            yield name


def _read_only(path: Path, seen: str | None = None) -> str:
    return f"--bind-ro={escaped(path)}:{escaped(seen or path)}"


def escaped(path: Path | str) -> str:
    """Return a path as a part of a word of --bind."""
    return str(path).replace("\\", "\\\\").replace(":", "\\:")


def limits(limits: Limits) -> Iterator[str]:
    """Return the lines of a unit that keep these."""
    if limits.memory_bytes is not None:
        # Without the second, what is over the limit goes to the swap of everybody.
        yield f"MemoryMax={limits.memory_bytes}\nMemorySwapMax=0\n"
    if limits.cpu_percent is not None:
        yield f"CPUQuota={limits.cpu_percent}%\n"
    if limits.tasks is not None:
        yield f"TasksMax={limits.tasks}\n"
