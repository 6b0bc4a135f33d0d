"""Which web port an agent has: chosen once, from its name, and kept beside its state for ever."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import attrs
import structlog

from harness.wire import MANAGER, is_name
from hyperhive.config import Directories, PortsConfig

log = structlog.get_logger("ports")

MANAGER_PORT = 8000
_MAX_PORT = 65_535
_MAX_DIGITS = 5


@attrs.frozen(kw_only=True)
class Choice:
    """An agent's port; ``keep`` says whether its file has yet to be written."""

    port: int
    keep: bool
    shared: bool = False
    """Whether every port of the range is taken, so that another agent has this one too."""


def fnv1a_32(text: bytes) -> int:
    """Hash with FNV-1a, 32 bit (draft-eastlake-fnv)."""
    value = 0x811C9DC5
    for byte in text:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def hashed(name: str, ports: PortsConfig) -> int:
    """Return the port that a name alone leads to."""
    return ports.base + fnv1a_32(name.encode()) % ports.count


def choose(
    name: str, ports: PortsConfig, *, kept: int | None, applied: bool, others: Mapping[str, int | None]
) -> Choice:
    """Choose a port.

    ``kept`` is what its file says; ``applied`` whether a configuration was ever applied to it, so that it is older than
    these files and may have been reached at its hashed port; ``others`` are the other agents with what their files say.
    """
    if name == MANAGER:
        return Choice(port=MANAGER_PORT, keep=False)
    if kept is not None:
        return Choice(port=kept, keep=False)
    first = hashed(name, ports)
    if applied:
        return Choice(port=first, keep=True)
    held = {MANAGER_PORT, *(hashed(other, ports) if port is None else port for other, port in others.items())}
    for step in range(ports.count):
        port = ports.base + (first - ports.base + step) % ports.count
        if port not in held:
            return Choice(port=port, keep=True)
    return Choice(port=first, keep=False, shared=True)


def assign(name: str, ports: PortsConfig, directories: Directories, *, ours: bool = False) -> int:
    """Return an agent's port, choosing and keeping it where it has none; its directory exists.

    ``ours`` is whether this hive made its applied directory, as it does for a new agent that is asked for with a
    configuration: then that says nothing of the agent's age.

    Reads and writes without a pause in between, so that two agents that are made at once see each other.
    """
    file = directories.port_file(name)
    kept = read(file)
    applied = directories.applied(name)
    is_applied = not ours and applied.is_dir() and not applied.is_symlink()
    others = {} if kept is not None or is_applied else _others(name, directories)
    choice = choose(name, ports, kept=kept, applied=is_applied, others=others)
    if choice.shared:
        log.warning("no_port_free", stream=f"agent-{name}", port=choice.port, remedy="raise ports.count")
    if choice.keep:
        _write(file, choice.port)
    return choice.port


def current(name: str, directories: Directories) -> int | None:
    """Return the port that an agent has; None where none was chosen yet."""
    return MANAGER_PORT if name == MANAGER else read(directories.port_file(name))


def read(file: Path) -> int | None:
    """Return the port in a file; None where there is no file, or no port in it (which is said in the log)."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("port_unread", file=str(file), error=error.strerror)
        return None
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        written = os.read(descriptor, _MAX_DIGITS + 2).strip() if regular else b""
    finally:
        os.close(descriptor)
    if written.isdigit() and 1 <= int(written) <= _MAX_PORT:
        return int(written)
    log.warning("port_unread", file=str(file), error="it holds no port; another is chosen")
    return None


def _others(name: str, directories: Directories) -> dict[str, int | None]:
    with os.scandir(directories.data / "agents") as entries:
        names = [entry.name for entry in entries if is_name(entry.name) and entry.name not in {name, MANAGER}]
    return {other: read(directories.port_file(other)) for other in names}


def _write(file: Path, port: int) -> None:
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with open(unfinished, "x", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as opened:
        opened.write(f"{port}\n")
        opened.flush()
        os.fsync(opened.fileno())
    unfinished.replace(file)
