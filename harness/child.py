"""The harness's hold on the process that carries the session: starting it, talking to it, ending it.

One JSON object a line over a socket pair, which unlike a pipe nobody can open a second time through /proc.

To the session, first ``start``, then any of the others:

    {"do":"start","resume":id|null,"model":…,"env":{…},"permission_mode":…,"allowed_tools":[…],"claude_path":…,
     "system_prompt":…,"tools":[…]}
    {"do":"turn","prompt":"…","model":"…"|null}
    {"do":"command","prompt":"/compact","model":…}         a turn on what the operator says to `claude` itself
    {"do":"interrupt"}
    {"do":"tool_result","call":3,"ok":true,"reply":{…}}    or "ok":false,"error":"…"

From it:

    {"did":"ready"}                                        `claude` is up
    {"did":"event","event":{"at":…,"type":…,"data":{…}}}
    {"did":"session","session_id":…,"model":…}
    {"did":"session_reset"}                                the conversation begins anew, with the next session's id
    {"did":"status","status":"thinking"|"compacting"}
    {"did":"tool","call":3,"name":"send","arguments":{…}}
    {"did":"tool_cancelled","call":3}
    {"did":"turn_ended","ok":…,"error_kind":…,"error":…,"cost_usd":…,"usage":{…},"session_id":…}
    {"did":"failed","error_kind":…,"error":…}              the session did not come up; the process ends

An end of the stream on either side ends the session. Secrets travel here alone, never on a command line.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness import processes

Message = dict[str, Any]

# Isolated (-I), because the session's directory belongs to the agent: neither a module planted there, nor one in the
# agent's own site-packages, nor PYTHONPATH may come before ours. The path is the harness's own.
_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from harness.session import main; main()"


class Child:
    """A session's process. ``on_message`` and ``on_gone`` run in its reader's thread."""

    def __init__(
        self, state: Path, *, on_message: Callable[[Child, Message], None], on_gone: Callable[[Child, int], None]
    ) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-I", "-c", _BOOT, *_path(state)],
                stdin=theirs.fileno(),
                stdout=sys.stderr.fileno(),
                cwd=state,
                env={**os.environ, "HOME": str(state)},
                start_new_session=True,
            )
        self._socket = ours
        self._on_message = on_message
        self._on_gone = on_gone
        self._reader = threading.Thread(target=self._read, name="session", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's id, which is its group's too."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a message; a session that is gone does not hear it, and says so by `on_gone`."""
        with contextlib.suppress(OSError):
            self._socket.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def release(self, grace_seconds: float) -> None:
        """End the session and all its processes; what it started apart from itself on purpose lives on.

        In the grace that it has, `claude` writes its transcript and its costs down.
        """
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        processes.kill_group(self.pid)
        self._reader.join()

    def kill(self) -> None:
        """End everything that came from the session, at once."""
        processes.kill_descendants(self.pid)
        processes.kill_group(self.pid)
        self._process.wait()

    def _read(self) -> None:
        with contextlib.suppress(OSError), self._socket.makefile("rb") as stream:
            for line in stream:
                self._on_message(self, json.loads(line))
        self._on_gone(self, self._process.wait())
        self._socket.close()


def _path(state: Path) -> list[str]:
    """Return the harness's own module path, without what the agent could write to."""
    home = state.resolve()
    entries = (Path(entry).resolve() for entry in sys.path if entry)
    ours = Path(__file__).resolve().parents[1]
    return [str(ours), *(str(entry) for entry in entries if entry != ours and not entry.is_relative_to(home))]
