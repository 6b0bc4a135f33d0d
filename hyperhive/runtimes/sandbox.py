"""Builds bubblewrap's command line: what an agent sees, which is a short list, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from hyperhive.runtimes.confinement import EgressPolicy
from hyperhive.runtimes.host import ROOTS, SOCKET_NAME, SYSTEM, Python, comes_along, environment, inside, resolve
from hyperhive.runtimes.marks import MARK
from hyperhive.runtimes.protocol import Spec

STATE = Path("/state")
SOCKET_DIR = Path("/run/hyperhive")
UID = 1000
"""Inside; outside it is the daemon's user. Not 0: `claude` refuses root to work without permission prompts."""
USER = "agent"
TMP_BYTES = 1024 * 1024 * 1024
SHARED_MEMORY_BYTES = 64 * 1024 * 1024
"""The size of /dev/shm; both live in memory."""

ETC = (
    "alternatives",
    "ca-certificates/extracted",
    "crypto-policies",
    "gai.conf",
    "host.conf",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "os-release",
    "pki/ca-trust/extracted",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "static/ssl/certs",
    "terminfo",
)
"""The host's files that programs need. Not /etc/ssl or /etc/pki whole: they hold private keys too."""
GENERATED = {
    "passwd": f"root:x:0:0:root:/root:/bin/sh\n{USER}:x:{UID}:{UID}:{USER}:{STATE}:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "group": f"root:x:0:\n{USER}:x:{UID}:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
}
"""Written by us: the host's would name its users and ask daemons that are not there."""
PROC_READ_ONLY = ("acpi", "asound", "bus", "driver", "fs", "irq", "mtrr", "pressure", "scsi", "sys", "sysrq-trigger")
"""Where a daemon runs as root, file permissions alone let its agents write here: /proc/sys takes over the host."""
PROC_HIDDEN = (
    "kcore",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "pagetypeinfo",
    "sched_debug",
    "slabinfo",
    "timer_list",
    "vmallocinfo",
)
"""What only root reads, for the same reason."""


@attrs.frozen(kw_only=True)
class Bwrap:
    """The program, and those of its newer options that work here."""

    path: str
    sizes: bool
    """``--size`` (0.7)"""
    no_nesting: bool
    """``--disable-userns`` (0.8), where the kernel lets it"""


@attrs.frozen(kw_only=True)
class System:
    """What this host has of what a sandbox would show, so that the command line is a function of values."""

    roots: tuple[tuple[str, str | None], ...]
    """Each of `ROOTS` that exists, with its target where it is a link."""
    etc: tuple[str, ...]
    proc: frozenset[str]
    nix: bool
    generated: Path
    """The directory with `GENERATED`."""


def system(generated: Path) -> System:
    """Look at this host."""
    return System(
        roots=tuple(
            (root, str(path.readlink()) if path.is_symlink() else None)
            for root in ROOTS
            if (path := Path("/", root)).exists()
        ),
        etc=tuple(name for name in ETC if Path("/etc", name).exists()),
        proc=frozenset(name for name in (*PROC_READ_ONLY, *PROC_HIDDEN) if Path("/proc", name).exists()),
        nix=Path("/nix/store").is_dir(),
        generated=generated,
    )


def sandbox_argv(
    spec: Spec,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    bwrap: Bwrap,
    system: System,
    python: Python,
    terminal: bool = False,
    filter_fd: int | None = None,
) -> tuple[str, ...]:
    """Return the command line that runs a program as this agent; on a ``terminal`` it keeps that, and so Ctrl-C.

    The sandbox ends with the process that started it, with bubblewrap itself, and with its own first process: each
    takes the whole pid namespace along.
    """
    return (
        bwrap.path,
        *_namespaces(bwrap, spec),
        *(() if terminal else ("--new-session",)),
        *(() if filter_fd is None else ("--seccomp", str(filter_fd))),
        *_file_system(bwrap, system),
        *_trees(python, spec.readable),
        *("--bind", str(spec.state), str(STATE)),
        *(word for seen_as, path in spec.writable.items() for word in ("--bind", str(path), seen_as)),
        *(word for seen_as, path in spec.read_only.items() for word in ("--ro-bind", str(path), seen_as)),
        *("--ro-bind", str(spec.socket_dir), str(SOCKET_DIR)),
        *("--remount-ro", "/"),
        *("--chdir", str(STATE)),
        *_variables(environment),
        "--",
        *argv,
    )


def sandbox_environment(spec: Spec, python: Python) -> dict[str, str]:
    """Return the whole environment of an agent's program."""
    own = environment(spec, user=USER, state=STATE, socket=SOCKET_DIR / SOCKET_NAME, python=python)
    return {**own, **spec.environment}


def shown(system: System, python: Python) -> tuple[Path, ...]:
    """Return the host's directories that every agent can read; nothing private may lie in one."""
    roots = (Path("/", root) for root, target in system.roots if target is None)
    return (SYSTEM, *roots, *python.trees, *((Path("/nix/store"),) if system.nix else ()))


def _namespaces(bwrap: Bwrap, spec: Spec) -> Iterator[str]:
    yield from ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
    yield from ("--uid", str(UID), "--gid", str(UID), "--hostname", spec.container)
    yield from ("--cap-drop", "ALL", "--die-with-parent")
    if bwrap.no_nesting:
        yield "--disable-userns"
    if spec.egress.policy is not EgressPolicy.HOST:
        # Its own loopback and nothing else; abstract sockets belong to it, too.
        yield "--unshare-net"


def _file_system(bwrap: Bwrap, system: System) -> Iterator[str]:
    yield from ("--ro-bind", str(SYSTEM), str(SYSTEM))
    for root, target in system.roots:
        yield from ("--symlink", target, f"/{root}") if target else ("--ro-bind", f"/{root}", f"/{root}")
    if system.nix:
        yield from ("--ro-bind", "/nix/store", "/nix/store")
        yield from ("--ro-bind-try", "/run/current-system", "/run/current-system")
    for name in system.etc:
        # `-try`: a daemon of the host may be replacing it.
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    for name in GENERATED:
        yield from ("--ro-bind", str(system.generated / name), f"/etc/{name}")
    yield from _kernel(bwrap, system)
    yield from (*_size(bwrap, TMP_BYTES), "--tmpfs", "/tmp")  # noqa: S108 - the sandbox's own
    yield from ("--symlink", "../tmp", "/var/tmp")  # noqa: S108 - likewise


def _trees(python: Python, readable: Iterable[Path]) -> Iterator[str]:
    """Show each at its real path, and make the links that lead there, so that it is found by its name too."""
    links = dict(python.links)
    trees = [*python.trees, *(resolve(path, links) for path in readable)]
    trees = [tree for tree in trees if not inside(tree, [SYSTEM, *(other for other in trees if other != tree)])]
    for tree in dict.fromkeys(trees):
        yield from ("--ro-bind", str(tree), str(tree))
    for link, target in links.items():
        if not comes_along(link, trees):
            yield from ("--symlink", target, str(link))


def _kernel(bwrap: Bwrap, system: System) -> Iterator[str]:
    yield from ("--proc", "/proc")
    for name in PROC_READ_ONLY:
        if name in system.proc:
            yield from ("--ro-bind", f"/proc/{name}", f"/proc/{name}")
    for name in PROC_HIDDEN:
        if name in system.proc:
            yield from ("--ro-bind", "/dev/null", f"/proc/{name}")
    yield from ("--dev", "/dev", *_size(bwrap, SHARED_MEMORY_BYTES), "--tmpfs", "/dev/shm")  # noqa: S108 - likewise
    yield from ("--remount-ro", "/dev")


def _size(bwrap: Bwrap, size: int) -> tuple[str, ...]:
    return ("--size", str(size)) if bwrap.sizes else ()


def _variables(environment: Mapping[str, str]) -> Iterator[str]:
    # Set inside and not on bubblewrap itself, which would obey LD_PRELOAD before there is a sandbox.
    yield from ("--unsetenv", MARK)
    for name, value in environment.items():
        yield from ("--setenv", name, value)
