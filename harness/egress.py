"""The way out of a container without a network: loopback ports whose connections go to the host's proxy.

The host's side is ``egress.sock``, beside the agent's socket; what may pass is decided there. Here are two kinds of
port: one that is a proxy, for programs that are told of it by their environment, and one for a model's API on the
host's own loopback, which is found here at the same address.

As a program, ``python -m harness.egress COMMAND …``, it runs a command with both and ends with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from harness.log import log

VARIABLE = "HYPERHIVE_EGRESS"
"""The path of the socket; not set where the container has the host's network."""
MAX_CONNECTIONS = 64
"""As many as the host takes from one agent."""
AWAY_SECONDS = 20.0
"""A connection waits so long for a host that is just being restarted."""
AGAIN_SECONDS = 0.25
CHUNK_BYTES = 65_536
MAX_ANSWER_BYTES = 8_192

_LOOPBACK = "127.0.0.1"
_AROUND = "localhost,127.0.0.1,::1"
"""The container's own loopback needs no proxy."""
_NOT_FOUND = 127  # as a shell says it


class Egress:
    """The ports of one container; ``path`` is the host's socket, None where nothing has to be carried."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._models: set[int] = set()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Egress:
        """Read ``HYPERHIVE_EGRESS``."""
        path = environment.get(VARIABLE)
        return cls(Path(path) if path else None)

    def open(self) -> dict[str, str]:
        """Open the proxy's port; return the variables that lead programs to it. Raises `OSError`."""
        if self._path is None:
            return {}
        proxy = f"http://{_LOOPBACK}:{self._listen(0, b'')}"
        names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        return {**dict.fromkeys(names, proxy), "no_proxy": _AROUND, "NO_PROXY": _AROUND}

    def reach(self, base_url: str | None) -> None:
        """Let a model's API be found that the host has on its own loopback."""
        if self._path is None or base_url is None:
            return
        try:
            parts = urlsplit(base_url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            if parts.hostname not in ("127.0.0.1", "localhost", "::1") or port in self._models:
                return
            host = f"[{parts.hostname}]" if parts.hostname == "::1" else parts.hostname
            self._listen(port, f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
        except (OSError, ValueError) as error:
            log("model_out_of_reach", base_url=base_url, error=error)
        else:
            self._models.add(port)

    def _listen(self, port: int, opening: bytes) -> int:
        listener = socket.create_server((_LOOPBACK, port), backlog=MAX_CONNECTIONS)
        threading.Thread(target=self._accept, args=(listener, opening), name="egress", daemon=True).start()
        return int(listener.getsockname()[1])

    def _accept(self, listener: socket.socket, opening: bytes) -> None:
        while True:
            self._slots.acquire()
            try:
                client, _ = listener.accept()
            except OSError as error:
                # No descriptor is left, or the client is gone already.
                self._slots.release()
                log("egress_not_accepted", error=error)
                time.sleep(AGAIN_SECONDS)
                continue
            try:
                threading.Thread(target=self._carry, args=(client, opening), name="egress", daemon=True).start()
            except RuntimeError as error:  # the container's limit of tasks
                client.close()
                self._slots.release()
                log("egress_not_carried", error=error)

    def _carry(self, client: socket.socket, opening: bytes) -> None:
        try:
            with client, self._connect() as host:
                if opening:
                    host.sendall(opening)
                    if not _answered(host):
                        return
                back = threading.Thread(target=_copy, args=(host, client), name="egress", daemon=True)
                back.start()
                _copy(client, host)
                back.join()
        except (OSError, RuntimeError):
            return  # the client sees that its connection has ended
        finally:
            self._slots.release()

    def _connect(self) -> socket.socket:
        """Connect to the host, which may be away for a moment."""
        end = time.monotonic() + AWAY_SECONDS
        while True:
            host = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                host.connect(str(self._path))
            except (FileNotFoundError, ConnectionRefusedError):
                host.close()
                if time.monotonic() > end:
                    raise
                time.sleep(AGAIN_SECONDS)
            except OSError:
                host.close()
                raise
            else:
                return host


def _answered(host: socket.socket) -> bool:
    """Read the proxy's answer to the opening, up to the blank line and no further; return whether it let us through."""
    answer = b""
    while not answer.endswith(b"\r\n\r\n") and len(answer) < MAX_ANSWER_BYTES:
        byte = host.recv(1)
        if not byte:
            return False
        answer += byte
    return answer.startswith(b"HTTP/1.1 200 ")


def _copy(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := one.recv(CHUNK_BYTES):
            other.sendall(chunk)
    with contextlib.suppress(OSError):
        other.shutdown(socket.SHUT_WR)


def main(argv: list[str]) -> int:
    """Run a command with a way out; return its exit status, as a shell's ``$?``."""
    egress = Egress.from_environment(os.environ)
    environment = {**os.environ, **egress.open()}
    egress.reach(environment.get("ANTHROPIC_BASE_URL"))
    try:
        command = subprocess.Popen(argv, env=environment)
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        return _NOT_FOUND
    # The terminal's own signals are the command's business: it has them, too.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    status = command.wait()
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
