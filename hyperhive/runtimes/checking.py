"""What every runtime asks of a spec's directories before it makes anything of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hyperhive.runtimes.protocol import InvalidSpec, Spec


def check(spec: Spec, run_dir: Path) -> None:
    """Raise `InvalidSpec` where they will not do, or where the agent would see the log or the runtime's own files."""
    directories = {"state": spec.state, "socket_dir": spec.socket_dir, **spec.writable, **spec.read_only}
    for field, path in directories.items():
        if path.is_symlink() or not path.is_dir():
            raise InvalidSpec(f"{field} of {spec.name} is {path}; it has to be a directory, and not a link to one")
    for path in spec.readable:
        if not path.exists():
            raise InvalidSpec(f"{spec.name} is to read {path}, which is not there")
    if not spec.log.parent.is_dir():
        raise InvalidSpec(f"the log of {spec.name} is {spec.log}; its directory has to be there")
    check_apart((spec.log, run_dir), (*directories.values(), *spec.readable), f"which {spec.name} sees")


def check_apart(kept: Sequence[Path], seen: Sequence[Path], by: str) -> None:
    """Raise `InvalidSpec` where one of these lies in what is seen."""
    for path in kept:
        for tree in seen:
            if path.resolve().is_relative_to(tree.resolve()):
                raise InvalidSpec(f"{path} lies in {tree}, {by}; put it elsewhere")
