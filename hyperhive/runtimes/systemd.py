"""Asks systemd: what a unit is doing now, and the acts on it, each with a deadline."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from hyperhive.runtimes import runner
from hyperhive.runtimes.protocol import RuntimeFailed

RUNTIME_UNITS = Path("/run/systemd/system")
"""Where units for this boot are laid; there is such a directory exactly where systemd runs, sd_booted(3)."""
ACT_SECONDS = 30.0
LOOK_SECONDS = 10.0

_SHOWN = ("Id", "LoadState", "ActiveState", "Result", "MainPID", "ExecMainCode", "ExecMainStatus")
_BUSY = {"active", "activating", "deactivating", "reloading"}


@attrs.frozen(kw_only=True)
class Unit:
    """One unit as systemd has it."""

    id: str
    active: str
    result: str
    main_pid: int
    """0 where none runs."""

    @property
    def busy(self) -> bool:
        """Whether it runs, begins or ends: something of it may be there."""
        return self.active in _BUSY


def running() -> bool:
    """Whether systemd is this machine's first process."""
    return RUNTIME_UNITS.is_dir()


def show_argv(*patterns: str) -> tuple[str, ...]:
    """Return the command line that shows units; a pattern finds those that are loaded."""
    return ("systemctl", "show", f"--property={','.join(_SHOWN)}", "--", *patterns)


async def show(*patterns: str) -> list[Unit]:
    """Look at units."""
    output = await runner.check(show_argv(*patterns), deadline_seconds=LOOK_SECONDS)
    return list(parse(output.text))


def parse(shown: str) -> Iterator[Unit]:
    """Read what `systemctl show` printed: one paragraph of KEY=VALUE for each unit."""
    for paragraph in shown.split("\n\n"):
        fields = dict(line.split("=", 1) for line in paragraph.splitlines() if "=" in line)
        if fields:
            yield _unit(fields)


def _unit(fields: Mapping[str, str]) -> Unit:
    return Unit(
        id=fields["Id"],
        active=fields.get("ActiveState", "inactive"),
        result=fields.get("Result", ""),
        main_pid=int(fields.get("MainPID", "0")),
    )


async def act(*words: str, seconds: float = ACT_SECONDS) -> None:
    """Let `systemctl` do something; raises `RuntimeFailed` with what it said."""
    await runner.check(("systemctl", *words), deadline_seconds=seconds)


async def attempt(argv: Sequence[str], *, seconds: float = ACT_SECONDS) -> bool:
    """Run what may fail, since something harder follows; say whether it worked."""
    try:
        await runner.check(argv, deadline_seconds=seconds)
    except RuntimeFailed:
        return False
    return True


def trim(unit: str) -> None:
    """Remove what is left of the groups of a machine that has ended; on cgroup v1 nobody does that in time.

    They belong to the users of that machine, and the next one, if it has others, could not use them.
    """
    group = Path("/sys/fs/cgroup/systemd/machine.slice", unit)
    for directory in sorted((group, *group.rglob("*/")), key=lambda path: -len(path.parts)):
        # Not there (cgroup v2), or in use after all.
        with contextlib.suppress(OSError):
            directory.rmdir()


def lay(path: Path, text: str) -> bool:
    """Write a unit or a part of one, if it is not there already; return whether systemd has to read it anew."""
    if path.exists() and path.read_text() == text:
        return False
    for directory in reversed(path.parents):
        if not directory.exists():
            directory.mkdir(exist_ok=True)
            directory.chmod(0o755)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text)
    # Whatever the umask, since who reads it may be another user.
    partial.chmod(0o644)
    partial.replace(path)
    return True
