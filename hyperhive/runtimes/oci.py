"""Builds podman's command lines: what an agent's container shows, what it may, and how long its shell waits for it."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from hyperhive.runtimes import sandbox, seccomp
from hyperhive.runtimes.confinement import EgressPolicy
from hyperhive.runtimes.host import SYSTEM, Python, comes_along, inside, resolve
from hyperhive.runtimes.keeper import SHELL
from hyperhive.runtimes.marks import MARK
from hyperhive.runtimes.protocol import Spec
from hyperhive.runtimes.sandbox import SHARED_MEMORY_BYTES, SOCKET_DIR, STATE, TMP_BYTES, UID, System

BASE = "localhost/hyperhive-base"
SYSTEM_LABEL = "org.hyperhive.system"
APPLIED_LABEL = "org.hyperhive.applied"
"""Names the directory that an agent's image was built of: once that is gone, nobody needs the image."""
OTHERS_UID = 100_000
"""Where root inside a container is outside, where root runs it: nobody's. Inside nothing can become root."""

UMASK = 0o022
"""Of podman itself: the /dev that it makes has to be seen. The program has a stricter one of its own."""
RUN = (
    f"unset {MARK}; umask {UMASK:03o}; name=$0; "
    '"$@" 2>&1 | cat; status=$("$1" wait "$name" 2>/dev/null) || status=125; '
    '"$1" rm --force --time 0 "$name" >/dev/null 2>&1; exit "$status"'
)
"""Ends with its container: podman itself does not stay, and what `cat` reads ends when nothing in there holds it."""
BECOME = (SHELL, "-c", 'umask 077; exec "$0" "$@"')
"""Before the program: it says which one cannot be run, which the init does not."""
ON_TERMINAL = f'umask {UMASK:03o}; if [ -t 0 ]; then set -- --tty "$@"; fi; podman=$0; exec "$podman" run "$@"'


@attrs.frozen(kw_only=True)
class Tool:
    """podman as it works here."""

    path: str
    root: bool
    runtime: str
    """The OCI runtime: runc or crun."""
    groups: bool
    """Whether it can keep limits by cgroups; else they are those of each process alone."""
    nofile: int
    nproc: int
    """The most that this process may give away: rlimits cannot be raised."""

    @property
    def argv(self) -> tuple[str, ...]:
        """What every command line begins with."""
        return (self.path, "--runtime", self.runtime)


@attrs.frozen(kw_only=True)
class Image:
    """An image as it lies in the file system."""

    tree: Path
    brings_system: bool
    """Whether it has programs of its own, rather than the host's."""


def container_argv(
    tool: Tool,
    spec: Spec,
    argv: Sequence[str],
    *,
    name: str,
    image: Image,
    environment: Mapping[str, str],
    system: System,
    python: Python,
    filter_file: Path,
) -> tuple[str, ...]:
    """Return what follows ``podman run`` for a program of an agent, either the harness or another."""
    return (
        *("--name", name, "--hostname", spec.container, "--replace"),
        *_identity(tool),
        *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
        *("--security-opt", f"seccomp={filter_file}", "--security-opt", f"mask={':'.join(_masked(system))}"),
        *("--read-only", "--read-only-tmpfs=false", "--init", "--no-hosts", "--passwd=false", "--http-proxy=false"),
        *("--network", "host" if spec.egress.policy is EgressPolicy.HOST else "none"),
        *_limits(tool, spec),
        *("--tmpfs", f"/tmp:rw,nosuid,nodev,size={TMP_BYTES},mode=1777"),  # noqa: S108 - the container's own
        *("--shm-size", str(SHARED_MEMORY_BYTES)),
        *_mounts(spec, image, system, python),
        *("--workdir", str(STATE), "--unsetenv-all"),
        *(word for key, value in environment.items() for word in ("--env", f"{key}={value}")),
        *("--rootfs", str(image.tree)),
        *BECOME,
        *argv,
    )


def keeper_argv(tool: Tool, name: str, pid_file: Path, container: Sequence[str]) -> tuple[str, ...]:
    """Return the command line that lives as long as the container does, and ends with its exit status."""
    run = ("run", "--detach", "--log-driver", "passthrough", "--pidfile", str(pid_file))
    return (SHELL, "-c", RUN, name, *tool.argv, *run, *container)


def terminal_argv(tool: Tool, container: Sequence[str]) -> tuple[str, ...]:
    """Return the command line that runs a container for a person, on the terminal where there is one."""
    script = ON_TERMINAL.replace(" run ", f" --runtime {tool.runtime} run ")
    return (SHELL, "-c", script, tool.path, "--rm", "--interactive", *container)


def filter_json() -> bytes:
    """Return the sandboxes' filter of system calls (`seccomp`) as OCI runtimes take it."""
    highest = max(seccomp.FAMILIES)
    families = [_equal(0, family) for family in range(highest) if family not in seccomp.FAMILIES]
    families.append({"index": 0, "value": highest + 1, "op": "SCMP_CMP_GE"})
    namespaces = [
        {"index": 0, "value": 1 << bit, "valueTwo": 1 << bit, "op": "SCMP_CMP_MASKED_EQ"}
        for bit in range(32)
        if seccomp.NEW_NAMESPACES >> bit & 1
    ]
    names = sorted({name for calls in seccomp.REFUSED.values() for name in calls})
    rules = [
        _rule(names, errno.EPERM),
        _rule(["clone3"], errno.ENOSYS),
        *(_rule(["clone"], errno.EPERM, argument) for argument in namespaces),
        *(_rule(["socket", "socketpair"], errno.EAFNOSUPPORT, argument) for argument in families),
        *(_rule(["ioctl"], errno.EPERM, _equal(1, request)) for request in (seccomp.TIOCSTI, seccomp.TIOCLINUX)),
    ]
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}).encode()


def _rule(names: Sequence[str], number: int, *arguments: Mapping[str, object]) -> dict[str, object]:
    rule = {"names": list(names), "action": "SCMP_ACT_ERRNO", "errnoRet": number}
    return {**rule, "args": list(arguments)} if arguments else rule


def _equal(index: int, value: int) -> dict[str, object]:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}


def _identity(tool: Tool) -> Iterator[str]:
    """Let the agent be user `UID` inside and the daemon's user outside, in a user namespace of its own."""
    if not tool.root:
        yield from ("--userns", f"keep-id:uid={UID},gid={UID}")
    else:
        for kind in ("--uidmap", "--gidmap"):
            # Without a root inside there is no container; nothing is ever root there.
            yield from (kind, f"0:{OTHERS_UID}:1", kind, f"{UID}:0:1")
    yield from ("--user", f"{UID}:{UID}")


def _limits(tool: Tool, spec: Spec) -> Iterator[str]:
    memory, cpu, tasks = spec.limits.memory_bytes, spec.limits.cpu_percent, spec.limits.tasks
    if tool.groups:
        yield from (() if memory is None else ("--memory", str(memory), "--memory-swap", str(memory)))
        yield from (() if cpu is None else ("--cpus", f"{cpu / 100:g}"))
        yield from (("--pids-limit", "-1" if tasks is None else str(tasks)))
    elif memory is not None:
        yield from ("--ulimit", f"data={memory}:{memory}")
    nproc = tool.nproc if tool.groups or tasks is None else min(tasks, tool.nproc)
    yield from ("--ulimit", f"nofile={tool.nofile}:{tool.nofile}", "--ulimit", f"nproc={nproc}:{nproc}")
    yield from ("--ulimit", "core=0:0")


def _masked(system: System) -> Iterator[str]:
    yield "/sys"
    yield from (f"/proc/{name}" for name in sandbox.PROC_HIDDEN if name in system.proc)


def _mounts(spec: Spec, image: Image, system: System, python: Python) -> Iterator[str]:
    if not image.brings_system:
        yield from _bind(SYSTEM, SYSTEM)
        for root, target in system.roots:
            if target is None:
                yield from _bind(Path("/", root), Path("/", root))
        for name in system.etc:
            yield from _bind(Path("/etc", name), Path("/etc", name))
    if system.nix:
        yield from _bind(Path("/nix/store"), Path("/nix/store"))
    for name in sandbox.GENERATED:
        yield from _bind(system.generated / name, Path("/etc", name))
    for tree in trees(spec, python):
        yield from _bind(tree, tree)
    for seen_as, path in spec.read_only.items():
        yield from _bind(path, Path(seen_as))
    yield from _bind(spec.state, STATE, writable=True)
    for seen_as, path in spec.writable.items():
        yield from _bind(path, Path(seen_as), writable=True)
    yield from _bind(spec.socket_dir, SOCKET_DIR)


def trees(spec: Spec, python: Python) -> list[Path]:
    """Return what is shown of the host beside its system, each at its real path."""
    links = dict(python.links)
    wanted = [*python.trees, *(resolve(path, links) for path in spec.readable)]
    wanted = [tree for tree in wanted if not inside(tree, [SYSTEM, *(other for other in wanted if other != tree)])]
    return list(dict.fromkeys(wanted))


def links(spec: Spec, python: Python) -> dict[Path, str]:
    """Return the links that lead there; a container cannot make them, so they are part of the image's tree."""
    found = dict(python.links)
    for path in spec.readable:
        resolve(path, found)
    shown = trees(spec, python)
    return {link: target for link, target in found.items() if not comes_along(link, shown)}


def _bind(source: Path, target: Path, *, writable: bool = False) -> tuple[str, str]:
    mode = "rw" if writable else "ro"
    return ("--mount", f"type=bind,src={source},dst={target},{mode},bind-propagation=rprivate")
