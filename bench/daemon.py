"""A daemon of our own for a measurement: the real program, on directories of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hyperhive.cli import client

DEADLINE_SECONDS = 60.0


class Daemon:
    """One run of ``hyperhive serve``."""

    def __init__(self, place: Path, *options: str) -> None:
        self.data, self.run = place / "d", place / "r"
        argv = [
            sys.executable,
            "-m",
            "hyperhive.cli",
            "serve",
            "--data-dir",
            str(self.data),
            "--run-dir",
            str(self.run),
        ]
        argv += ["--listen", "127.0.0.1:0", "--runtime", "process", "--set", "manager=false", *options]
        with (place / "daemon.log").open("ab") as output:
            self.begun = time.perf_counter()
            self.process = subprocess.Popen(argv, stdout=output, stderr=output, env=environment())
        self.answering_after = self._wait()
        """Seconds from its start until it answered."""

    def ask(self, cmd: str, **fields: Any) -> dict[str, Any]:
        """Say something on host.sock."""
        return client.ask(self.run / "host.sock", {"cmd": cmd, **fields})

    def stop(self) -> None:
        """End it in good order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE_SECONDS)

    def _wait(self) -> float:
        while not self._answers():
            assert self.process.poll() is None, (self.data.parent / "daemon.log").read_text()[-2_000:]
            time.sleep(0.002)
        return time.perf_counter() - self.begun

    def _answers(self) -> bool:
        with contextlib.suppress(client.NotRunning, client.Unanswered):
            self.ask("list")
            return True
        return False


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment; compiled modules are kept, as they are on a host."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, **more}


@contextlib.contextmanager
def daemon(place: Path, *options: str) -> Iterator[Daemon]:
    """Run a daemon for a while; its agents are stopped with it."""
    running = Daemon(place, *options)
    try:
        yield running
    finally:
        for name in _running(running):
            running.ask("kill", name=name)
        until("all agents are stopped", lambda: not _running(running))
        running.stop()


def _running(running: Daemon) -> list[str]:
    return [row["name"] for row in running.ask("agent_status")["agent_statuses"] if row["running"] or row["pending"]]


def until(what: str, look: Callable[[], Any], *, every_seconds: float = 0.02) -> Any:
    """Look again and again until there is something to see, and return it."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(every_seconds)
    raise TimeoutError(f"waited for: {what}")
