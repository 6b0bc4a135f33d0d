"""Ask the daemon over host.sock: one connection, one JSON line each way."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from harness.wire import MAX_LINE_BYTES, Code, WireError, decode, encode
from hyperhive.cli.places import directories

VERSION = 1
ANSWER_SECONDS = 5.0
_CODES = get_args(Code)


class NotRunning(Exception):  # noqa: N818 - an outcome people meet, not a defect
    """No daemon listens."""

    code = "not_running"


class Unanswered(Exception):  # noqa: N818 - as above
    """A daemon listens, but gave no usable answer; whether it did what was asked is not known."""

    code = "unavailable"


class NotAllowed(Exception):  # noqa: N818 - as above
    """This user may not use the socket."""

    code = "forbidden"


class Refused(Exception):  # noqa: N818 - as above
    """The daemon said no; ``code`` as the wire has it."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def call(cmd: str, **fields: Any) -> dict[str, Any]:
    """Give one verb to the daemon of the current invocation and return its reply."""
    return ask(directories().host_sock, {"cmd": cmd, **fields})


def ask(path: Path, request: Mapping[str, Any], *, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
    """Send one request and read one reply, all within ``seconds``.

    Raises `NotRunning`, `NotAllowed`, `Unanswered`, `Refused`; `WireError` where the request is too large for a line.
    """
    line = encode(request)
    deadline = time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        _connect(connection, path)
        try:
            connection.sendall(line)
            answer = _read_line(connection, deadline)
        except TimeoutError:
            raise Unanswered(
                f"the daemon at {path} did not answer within {seconds:g} s; hyperhive doctor looks"
            ) from None
        except OSError as error:
            raise Unanswered(f"the daemon at {path} broke off: {error.strerror}; is it being restarted?") from None
    return _checked(path, answer)


def _connect(connection: socket.socket, path: Path) -> None:
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise NotRunning(f"the daemon is not running (no answer at {path}); start it with: hyperhive serve") from None
    except PermissionError:
        raise NotAllowed(f"this user may not use {path}; its group may, and so may whoever runs the daemon") from None
    except TimeoutError:
        raise Unanswered(f"the daemon at {path} takes no connection; hyperhive doctor looks") from None
    except OSError as error:
        raise NotRunning(f"{path} cannot be reached: {error}; is --run-dir right?") from None


def _read_line(connection: socket.socket, deadline: float) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n") and len(received) <= MAX_LINE_BYTES:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        chunk = connection.recv(65_536)
        if not chunk:
            break
        received += chunk
    return bytes(received)


def _checked(path: Path, answer: bytes) -> dict[str, Any]:
    if not answer.endswith(b"\n"):
        # Half a line may still be JSON that says less than was meant.
        raise Unanswered(f"the daemon at {path} closed the connection without a whole answer; is it being restarted?")
    try:
        reply = decode(answer)
    except WireError as error:
        raise Unanswered(f"{path} answered something that is not the daemon's: {error}") from None
    if reply.get("version") != VERSION:
        raise Unanswered(
            f"the daemon at {path} speaks version {reply.get('version')!r} and this program version {VERSION}; "
            "use both from one release"
        )
    if reply.get("ok") is not True:
        code = str(reply.get("code"))
        reason = str(reply.get("error") or "the daemon refused without a reason")
        raise Refused(reason, code if code in _CODES else "failed")
    return reply
