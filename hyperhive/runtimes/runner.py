"""Runs helper commands: a deadline over the whole process group, and the end of the output in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from hyperhive.runtimes.protocol import RuntimeFailed, RuntimeTimeout

KEEP_BYTES = 65_536
HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin"
"""Where helper programs are looked for; the last is NixOS's."""
HOST_ENVIRONMENT = {"PATH": HOST_PATH, "LANG": "C.UTF-8"}
"""What a helper gets: nothing of the daemon's own environment, and messages in English, which we read."""

_READ_BYTES = 65_536
_LOOK_SECONDS = 0.05
_PIPE_READS = 16
"""A full pipe (1 MiB at most, pipe(7)): what an ended command can have left in it."""


@attrs.frozen(kw_only=True)
class Output:
    """How a command ended; ``text`` is the end of stdout and stderr, ``dropped_bytes`` what came before it."""

    status: int
    text: str
    dropped_bytes: int


async def run(
    argv: Sequence[str],
    *,
    deadline_seconds: float,
    environment: Mapping[str, str] | None = None,
    keep_bytes: int = KEEP_BYTES,
    umask: int = -1,
    directory: Path | None = None,
) -> Output:
    """Run a command without a shell, stdin or terminal, and wait for it; ``directory`` is where, if that matters.

    A process that it left behind with the pipe in hand is not waited for. Raises `RuntimeFailed` (status None) where it
    cannot be run at all, `RuntimeTimeout` after the deadline, when its whole process group has been killed.
    """
    try:
        process = subprocess.Popen(  # noqa: ASYNC220 - asyncio's own waits for whoever inherited the pipe
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(HOST_ENVIRONMENT if environment is None else environment),
            start_new_session=True,
            umask=umask,
            cwd=directory,
        )
    except OSError as error:
        raise RuntimeFailed(argv, None, f"{error.strerror}: {error.filename}") from error
    tail = _Tail(keep_bytes)
    try:
        async with asyncio.timeout(deadline_seconds):
            await _follow(process, tail)
    except TimeoutError:
        raise RuntimeTimeout(f"{argv[0]} did not end", deadline_seconds=deadline_seconds, output=tail.text()) from None
    finally:
        _end(process)
    return Output(status=process.returncode, text=tail.text(), dropped_bytes=tail.dropped_bytes)


async def check(
    argv: Sequence[str],
    *,
    deadline_seconds: float,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Output:
    """Run a command that has to succeed; raises `RuntimeFailed` with the end of its output where it does not."""
    output = await run(argv, deadline_seconds=deadline_seconds, environment=environment, directory=directory)
    if output.status != 0:
        raise RuntimeFailed(argv, output.status, output.text)
    return output


class _Tail:
    """The newest bytes of a stream."""

    def __init__(self, keep_bytes: int) -> None:
        self._keep_bytes = keep_bytes
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._total = 0

    def add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._held += len(chunk)
        self._total += len(chunk)
        while self._held - len(self._chunks[0]) >= self._keep_bytes:
            self._held -= len(self._chunks.popleft())

    @property
    def dropped_bytes(self) -> int:
        return max(0, self._total - self._keep_bytes)

    def text(self) -> str:
        return b"".join(self._chunks)[-self._keep_bytes :].decode(errors="replace")


async def _follow(process: subprocess.Popen[bytes], tail: _Tail) -> None:
    """Read until the end of the output, or until the command has ended and its pipe is empty."""
    assert process.stdout is not None  # noqa: S101 - Popen was asked for it
    fd = process.stdout.fileno()
    os.set_blocking(fd, False)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def read() -> bool:
        try:
            chunk = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if chunk:
            tail.add(chunk)
        else:
            ended.set()
            loop.remove_reader(fd)
        return bool(chunk)

    loop.add_reader(fd, read)
    try:
        while process.poll() is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _LOOK_SECONDS)
            if ended.is_set():
                await asyncio.sleep(_LOOK_SECONDS / 5)
        for _ in range(_PIPE_READS):
            if ended.is_set() or not read():
                break
    finally:
        loop.remove_reader(fd)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of the group running where the command did not end by itself, and close the pipe."""
    if process.poll() is None:
        # Unreaped, so the group's number cannot be anybody else's.
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None  # noqa: S101 - Popen was asked for it
    process.stdout.close()
