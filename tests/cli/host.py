"""A daemon that says what a test wrote down: a real unix socket, one JSON line each way, every request kept."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Reply = dict[str, Any] | bytes
Answer = Reply | list[Reply] | Callable[[dict[str, Any]], Reply]


class ScriptedHost:
    """Answers by ``cmd``: a reply (``version`` and ``ok`` are added), bytes, a list whose last repeats, a function."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Answer] = {}
        self.requests: list[dict[str, Any]] = []
        self._turns: dict[str, int] = {}
        self._lock = threading.Lock()

    def reply_to(self, line: bytes) -> bytes:
        """Keep the request and write the reply."""
        request = json.loads(line)
        with self._lock:
            self.requests.append(request)
            cmd = request["cmd"]
            turn = self._turns.get(cmd, 0)
            self._turns[cmd] = turn + 1
        answer = self.answers.get(cmd, {"ok": False, "error": f"no command {cmd!r}", "code": "invalid"})
        if callable(answer):
            answer = answer(request)
        elif isinstance(answer, list):
            answer = answer[min(turn, len(answer) - 1)]
        if isinstance(answer, bytes):
            return answer
        return json.dumps({"version": 1, "ok": True, **answer}).encode() + b"\n"

    def asked(self, cmd: str) -> list[dict[str, Any]]:
        """Return the requests of one verb, without the verb."""
        found = [dict(request) for request in self.requests if request["cmd"] == cmd]
        for request in found:
            del request["cmd"]
        return found


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline()
        if not line:
            return
        reply = self.server.host.reply_to(line)  # type: ignore[attr-defined]
        # A client that has left by now, as an interrupted one does, is no fault of a test's.
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(reply)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def serving(path: Path) -> Iterator[ScriptedHost]:
    """Serve on a socket for the length of a block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    host = ScriptedHost(path)
    with _Server(str(path), _Handler) as server:
        server.host = host  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield host
        finally:
            server.shutdown()
            thread.join()
            path.unlink()
