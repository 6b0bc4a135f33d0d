"""Holds a directory for one daemon, and says who holds it where another one does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from hyperhive.daemon.holder import holder_of


class AnotherDaemon(Exception):  # noqa: N818
    """Somebody else has this directory."""


@contextlib.contextmanager
def alone(file: Path, flag: str) -> Iterator[None]:
    """Lock a file for the length of a block; ``flag`` is the option that would choose another directory.

    Raises `AnotherDaemon` with the holder's pid and since when it runs, where the kernel says so.
    """
    lock = filelock.FileLock(file, blocking=False, mode=0o600)
    try:
        held = lock.acquire()
    except filelock.Timeout:
        holder = holder_of(file)
        known = f" ({holder})" if holder is not None else ""
        raise AnotherDaemon(f"another daemon{known} runs on {file.parent}; stop it, or choose another {flag}") from None
    with held:
        yield
