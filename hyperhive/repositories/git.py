"""Runs git in repositories of the host's own making: bounded in time, memory and output, deaf to every configuration.

It is never run in a repository that an agent can write to: what such a one's configuration, attributes and hooks say
would be obeyed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hyperhive.repositories.errors import GitFailed

DEADLINE_SECONDS = 30.0
MAX_OUTPUT_BYTES = 8 * 1_048_576
_PATH = "/usr/local/bin:/usr/bin:/bin:/run/current-system/sw/bin"
_LIMITS = 'ulimit -c 0 && ulimit -t 60 && ulimit -f 262144 && ulimit -v 2097152 && exec "$0" "$@"'
"""60 s of processor, files of 128 MiB, 2 GiB of memory: what a small object inflates to is its maker's choice."""
_ENVIRONMENT = {
    "PATH": _PATH,
    "LC_ALL": "C.UTF-8",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "file",
    "GIT_PAGER": "cat",
}
_CONFIGURATION = {
    "core.hooksPath": os.devnull,
    "core.attributesFile": os.devnull,
    "core.fsmonitor": "false",
    "core.symlinks": "false",
    "fetch.fsckObjects": "true",
    "fetch.unpackLimit": "1",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "safe.directory": "*",
    "submodule.recurse": "false",
}


def find_git() -> str | None:
    """Return the program's path; None where there is none."""
    return shutil.which("git", path=_PATH)


def argv(directory: Path, *arguments: str) -> tuple[str, ...]:
    """Return the command line of git on the repository whose git directory this is."""
    pairs = (word for name, value in _CONFIGURATION.items() for word in ("-c", f"{name}={value}"))
    return ("git", f"--git-dir={directory}", "--no-pager", *pairs, *arguments)


def git(
    directory: Path,
    *arguments: str,
    content: bytes = b"",
    environment: Mapping[str, str] | None = None,
    max_bytes: int = MAX_OUTPUT_BYTES,
) -> bytes:
    """Run git to its end and return what it printed; blocks, so call it in a thread.

    Raises `GitFailed` where it fails, prints more than ``max_bytes``, or takes longer than the deadline, when its whole
    process group has been killed.
    """
    command = ("/bin/sh", "-c", _LIMITS, *argv(directory, *arguments))
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as complaints:
        given.write(content)
        given.seek(0)
        try:
            process = subprocess.Popen(
                command,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env={**_ENVIRONMENT, **(environment or {})},
                start_new_session=True,
            )
        except OSError as error:
            raise GitFailed(f"git cannot be run: {error.strerror}") from error
        printed = _read(process, arguments[0], max_bytes)
        if process.returncode != 0:
            complaints.seek(0)
            said = complaints.read(4_000).decode(errors="backslashreplace").strip()
            raise GitFailed(f"git {arguments[0]} ended with status {process.returncode}: {said or 'it said nothing'}")
    return printed


def _read(process: subprocess.Popen[bytes], verb: str, max_bytes: int) -> bytes:
    """Read what a process prints, to its end, and reap it; nothing of its group is left when this fails."""
    assert process.stdout is not None  # noqa: S101 - Popen was asked for it
    killer = _Killer(process)
    try:
        killer.start()
        printed = process.stdout.read(max_bytes + 1)
        if len(printed) > max_bytes:
            raise GitFailed(f"git {verb} printed more than {max_bytes} bytes")
        process.wait()
        if killer.fired:
            raise GitFailed(f"git {verb} did not end within {DEADLINE_SECONDS:g} s")
        return printed
    finally:
        killer.end()
        process.stdout.close()


class _Killer:
    """Kills a process group at the deadline, or at once when it is told to end while the process runs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        import threading  # noqa: PLC0415 - only where git runs

        self._process = process
        self._timer = threading.Timer(DEADLINE_SECONDS, self._fire)
        self._timer.daemon = True
        self.fired = False

    def start(self) -> None:
        self._timer.start()

    def end(self) -> None:
        self._timer.cancel()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _fire(self) -> None:
        if self._process.poll() is None:
            self.fired = True
            os.killpg(self._process.pid, signal.SIGKILL)
