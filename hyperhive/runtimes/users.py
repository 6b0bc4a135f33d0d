"""Chooses the users of a machine: a range of the host's numbers that nobody else has."""

from __future__ import annotations

import contextlib
import pwd
import zlib
from collections.abc import Iterable
from pathlib import Path

from hyperhive.runtimes.protocol import RuntimeTrouble

RANGE = 65_536
FIRST, LAST = 524_288, 1_878_982_656
"""What systemd leaves to containers (UIDS-GIDS.md of systemd), by the first number of a range."""
_SLOTS = (LAST - FIRST) // RANGE + 1


class NoUsersLeft(RuntimeTrouble):
    """Every range of users is somebody's."""

    def __init__(self) -> None:
        super().__init__(f"all ranges of users from {FIRST} to {LAST + RANGE - 1} are in use on this machine")


def choose(container: str, taken: Iterable[tuple[int, int]]) -> int:
    """Return the first number of a range, the same for the same container as long as nobody else has it.

    ``taken`` are ranges as (first, count). Raises `NoUsersLeft`.
    """
    held = [(first, first + count) for first, count in taken]
    start = zlib.crc32(container.encode())
    for step in range(_SLOTS):
        first = FIRST + (start + step) % _SLOTS * RANGE
        if not any(begin < first + RANGE and first < end for begin, end in held):
            return first
    raise NoUsersLeft


def in_use() -> set[tuple[int, int]]:
    """Return the ranges of every user namespace on this machine, and its users' own numbers; costs a look at /proc."""
    found = {(user.pw_uid, 1) for user in pwd.getpwall()}
    for path in Path("/proc").glob("[0-9]*/uid_map"):
        # Gone by now, or somebody else's.
        with contextlib.suppress(OSError):
            for line in path.read_text().splitlines():
                _, outside, count = map(int, line.split())
                if outside:
                    found.add((outside, count))
    return found


def first_of(pid: int) -> int | None:
    """Return the host's number of root in a process's user namespace; None where that is the host's own."""
    try:
        lines = Path(f"/proc/{pid}/uid_map").read_text().split()
    except OSError:
        return None
    return int(lines[1]) or None if lines else None
