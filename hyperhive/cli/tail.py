"""Read the end of a file that grows, is cut, or is replaced."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_BLOCK_BYTES = 65_536
_MOST_BYTES = 64 * 1024 * 1024
_PAUSE_SECONDS = 0.2


class NoLog(Exception):  # noqa: N818 - an outcome people meet
    """There is no such log."""

    code = "not_found"


class UnreadableLog(Exception):  # noqa: N818 - as above
    """This user may not read the log."""

    code = "forbidden"


def last_lines(opened: BinaryIO, lines: int) -> bytes:
    """Return the last lines of a file (of its last 64 MiB), and leave the position at its end."""
    end = start = opened.seek(0, os.SEEK_END)
    blocks: list[bytes] = []
    newlines = 0
    # One newline more than lines: the one that ends the line before them.
    while start > 0 and newlines <= lines and end - start < _MOST_BYTES:
        size = min(_BLOCK_BYTES, start)
        start -= size
        opened.seek(start)
        blocks.append(opened.read(size))
        newlines += blocks[-1].count(b"\n")
    opened.seek(end)
    found = b"".join(reversed(blocks))
    kept = found.removesuffix(b"\n").split(b"\n")[-lines:] if found and lines else []
    return b"\n".join(kept) + (b"\n" if kept and found.endswith(b"\n") else b"")


def open_log(path: Path) -> BinaryIO:
    """Open a regular file; raises `NoLog`, `UnreadableLog`."""
    try:
        # Without O_NONBLOCK something that is no file could hold us up before we can look at it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NoLog(f"nothing is logged at {path} yet; has the agent been started?") from None
    except PermissionError:
        raise UnreadableLog(f"no permission to read {path}; whoever runs the daemon may") from None
    except OSError as error:
        raise NoLog(f"{path} is no log: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NoLog(f"{path} is no log: it is not a regular file")
    return os.fdopen(descriptor, "rb")


def follow(path: Path, opened: BinaryIO) -> Iterator[bytes]:
    """Yield what is appended, for ever; a file that was cut or replaced is read from its beginning."""
    while True:
        if chunk := opened.read(_BLOCK_BYTES):
            yield chunk
            continue
        try:
            there = path.stat()
        except FileNotFoundError:
            time.sleep(_PAUSE_SECONDS)
            continue
        here = os.fstat(opened.fileno())
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            opened.close()
            opened = open_log(path)
        elif here.st_size < opened.tell():
            opened.seek(0)
        else:
            time.sleep(_PAUSE_SECONDS)
