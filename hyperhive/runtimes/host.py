"""What of the host an agent's program is built on: the Python that runs it, where that lies, the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

import harness.wire
from hyperhive.runtimes import procfs
from hyperhive.runtimes.confinement import EgressPolicy
from hyperhive.runtimes.protocol import Spec

SOCKET_NAME = "agent.sock"
EGRESS_NAME = "egress.sock"
"""Beside it: the only way out of a container that has no network."""
SYSTEM = Path("/usr")
"""Seen by every agent whole, so that nothing below it needs a word of its own."""

ROOTS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""What stands beside /usr on systems that have not merged it, and leads into it on the others."""

_ZONES = Path("/usr/share/zoneinfo")
_MOST_LINKS = 40  # as the kernel counts, path_resolution(7)
_PROGRAMS = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/run/current-system/sw/bin"


@attrs.frozen(kw_only=True)
class Python:
    """A Python, by what it needs of the file system.

    ``trees`` are real directories, none inside another; ``links`` are the symbolic links on the way to them, with their
    targets; ``path`` is what it would not find by itself (PYTHONPATH).
    """

    executable: Path
    trees: tuple[Path, ...]
    links: tuple[tuple[Path, str], ...]
    path: tuple[Path, ...]


def python() -> Python:
    """Describe the Python that runs this."""
    return python_of(
        executable=Path(sys.executable),
        prefixes=(Path(sys.prefix), Path(sys.base_prefix)),
        harness=Path(harness.wire.__file__).parent,
        packages=[Path(entry) for entry in sys.path if Path(entry).name in {"site-packages", "dist-packages"}],
    )


def python_of(*, executable: Path, prefixes: Iterable[Path], harness: Path, packages: Iterable[Path]) -> Python:
    """Describe a Python; of a checkout only the `harness` package is part of it, never what lies beside."""
    prefixes = list(prefixes)
    extra = [path for path in packages if path.is_dir() and not inside(path, [SYSTEM, *prefixes])]
    installed = inside(harness, [SYSTEM, *prefixes, *extra])
    links: dict[Path, str] = {}
    wanted = [resolve(path, links) for path in [*prefixes, *extra, *([] if installed else [harness])]]
    resolve(executable, links)
    trees = [tree for tree in wanted if not inside(tree, [SYSTEM, *(other for other in wanted if other != tree)])]
    trees = list(dict.fromkeys(trees))
    return Python(
        executable=executable,
        trees=tuple(trees),
        links=tuple((link, target) for link, target in links.items() if not comes_along(link, trees)),
        path=tuple(extra if installed else [harness.parent, *extra]),
    )


def resolve(path: Path, links: dict[Path, str]) -> Path:
    """Return where a path really leads, and note each link on the way at its own real place."""
    at = Path("/")
    steps = list(path.parts[1:])
    followed = 0
    while steps:
        step = steps.pop(0)
        here = at.parent if step == ".." else at / step
        if not here.is_symlink():
            at = here
            continue
        links[here] = str(here.readlink())
        followed += 1
        if followed > _MOST_LINKS:
            raise OSError(f"{path} leads through more than {_MOST_LINKS} symbolic links")
        target = Path(links[here])
        at = Path("/") if target.is_absolute() else at
        steps = [*(target.parts[1:] if target.is_absolute() else target.parts), *steps]
    return at


def harness_argv() -> tuple[str, ...]:
    """Return the harness's command line: neither the working directory nor the user's packages come before its own."""
    return (sys.executable, "-sP", "-m", "harness")


def environment(spec: Spec, *, user: str, state: Path, socket: Path, python: Python) -> dict[str, str]:
    """Return an agent's environment, built from nothing; the paths are as the agent sees them."""
    variables = {
        "HOME": str(state),
        "USER": user,
        "LOGNAME": user,
        "SHELL": "/bin/sh",
        "PATH": f"{_PROGRAMS}:{state}/.local/bin:{python.executable.parent}",
        "LANG": "C.UTF-8",
        "TZ": time_zone(),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HYPERHIVE_AGENT": spec.name,
        "HYPERHIVE_GENERATION": str(spec.generation),
        "HYPERHIVE_STATE": str(state),
        "HYPERHIVE_SOCKET": str(socket),
    }
    if spec.egress.policy is not EgressPolicy.HOST:
        variables["HYPERHIVE_EGRESS"] = str(socket.with_name(EGRESS_NAME))
    if python.path:
        variables["PYTHONPATH"] = os.pathsep.join(map(str, python.path))
    return variables


def time_zone() -> str:
    """Return the host's zone by name, as programs that cannot follow /etc/localtime need it."""
    zone = Path("/etc/localtime").resolve()
    return str(zone.relative_to(_ZONES)) if zone.is_relative_to(_ZONES) else "UTC"


def way_out_argv(spec: Spec, argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command line with the way out that a harness has: a program of its own has nobody to carry for it."""
    if spec.egress.policy is EgressPolicy.HOST:
        return tuple(argv)
    return (sys.executable, "-sP", "-m", "harness.egress", *argv)


def started_child(pid: int) -> int | None:
    """Return the child that has become a program of its own, rather than a copy of its parent."""
    line = procfs.command_line(pid)
    return next((child for child in procfs.children(pid) if procfs.command_line(child) not in {(), line}), None)


def inside(path: Path, trees: Iterable[Path]) -> bool:
    """Whether a path is one of these directories, or lies in one."""
    return any(path.is_relative_to(tree) for tree in trees)


def comes_along(link: Path, trees: Iterable[Path], *, system: Iterable[Path] = (SYSTEM,)) -> bool:
    """Whether a link comes with a tree, or is one of the root's own (/bin, /lib64, …)."""
    return inside(link, [*system, *trees]) or (link.parent == Path("/") and str(link.name) in ROOTS)
