"""The keeper, a shell that lives exactly as long as its container's program, and the relay that keeps the output.

Neither is the daemon's: they outlive it. The keeper holds the container's lock as its stdin, so that the kernel itself
says whether one lives, from the fork on; it leaves the program's exit status in a file, which a daemon that came later
reads too. The relay stands between the program and its log, so that an agent never holds the log's descriptor, which
would let it be emptied.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from hyperhive.runtimes import logs, procfs
from hyperhive.runtimes.marks import MARK
from hyperhive.runtimes.protocol import RuntimeFailed
from hyperhive.runtimes.runner import HOST_ENVIRONMENT

SHELL = "/bin/sh"
KEEP = '(exec "$@" </dev/null 2>&1); printf "%s\\n" "$?" >"$0"'
"""In parentheses, so that the shell's own word on a killed program goes nowhere: the log is the program's alone."""
RELAY = (
    'command ulimit -f "$1"; trap "" XFSZ; until cat >>"$0"; do '
    '[ "$(wc -c <"$0")" -ge "$2" ] && mv -f "$0" "$0.1" || head -c 1048576 >/dev/null; done'
)
"""Appends to the log until it is full, which then becomes ``<log>.1``: bounded, however fast an agent prints.

What `cat` held at that moment (128 KiB at most) is lost. Where nothing can be written, as on a full disk, output is
dropped by the MiB. The program is never held up for long.
"""

_UMASK = 0o077
_ULIMIT_UNIT_BYTES = 512  # POSIX, ulimit -f


@attrs.frozen(kw_only=True)
class Launch:
    """What a keeper is to run: the argv, the environment of the keeper itself, the directory."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path
    groups: tuple[Path, ...] = ()
    """The cgroups that the program enters."""


@attrs.frozen(kw_only=True)
class Launched:
    """The two children that the daemon has until it ends."""

    keeper: subprocess.Popen[bytes]
    relay: subprocess.Popen[bytes]


def keeper_argv(argv: Sequence[str], *, exit_file: Path) -> tuple[str, ...]:
    """Return the command line of a keeper."""
    return (SHELL, "-c", KEEP, str(exit_file), *argv)


def relay_argv(log: Path, max_bytes: int) -> tuple[str, ...]:
    """Return the command line of a relay from its stdin into a log of at most so many bytes (a multiple of 512)."""
    return (SHELL, "-c", RELAY, str(log), str(max_bytes // _ULIMIT_UNIT_BYTES), str(max_bytes))


def is_keeper(pid: int) -> bool:
    """Whether this process runs as a keeper (its child does too, for the instant before it becomes the program)."""
    return procfs.command_line(pid)[:3] == (SHELL, "-c", KEEP)


def launch(what: Launch, *, mark: str, exit_file: Path, log: Path, lock: int) -> Launched:
    """Start relay and keeper, each in a session of its own; blocks for two forks.

    Raises `RuntimeFailed`.
    """
    argv = keeper_argv(what.argv, exit_file=exit_file)
    reading, writing = os.pipe()
    try:
        logs.prepare(log)
        relay = _spawn(relay_argv(log, logs.MAX_BYTES), stdin=reading, stdout=subprocess.DEVNULL)
        # Without a keeper the relay meets the end of its input, and ends.
        keeper = _spawn(argv, stdin=lock, stdout=writing, environment={**what.environment, MARK: mark}, cwd=what.cwd)
    except OSError as error:
        raise RuntimeFailed(argv, None, f"{error.strerror}: {error.filename}") from error
    finally:
        os.close(reading)
        os.close(writing)
    return Launched(keeper=keeper, relay=relay)


def _spawn(
    argv: Sequence[str],
    *,
    stdin: int,
    stdout: int,
    environment: Mapping[str, str] = HOST_ENVIRONMENT,
    cwd: Path = Path("/"),
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        env=dict(environment),
        cwd=cwd,
        start_new_session=True,
        umask=_UMASK,
    )
