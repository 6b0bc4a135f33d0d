"""Real processes for tests: a harness, and a rehearsal of the model that it talks to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from hyperhive.rehearsal.scenario import parse_scenario
from hyperhive.rehearsal.server import Rehearsal, serve_rehearsal

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 60.0


class Harness:
    """A running ``python -m harness``."""

    def __init__(self, socket: Path, state: Path, log: Path, *, backoff_seconds: float = 0.05) -> None:
        self.state = state
        self.log = log
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HYPERHIVE_SOCKET": str(socket),
            "HYPERHIVE_STATE": str(state),
            "HYPERHIVE_AGENT": "coder",
            "HYPERHIVE_BACKOFF_SECONDS": str(backoff_seconds),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Harness:
        """Start it; -P, because the state directory is the agent's and must not be imported from."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "harness"], cwd=self.state, env=self._environment, stdout=log, stderr=log
            )
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def family(self) -> list[psutil.Process]:
        """Return every living process that came from it."""
        return [process for process in psutil.Process(self.pid).children(recursive=True) if lives(process)]

    def claude(self) -> psutil.Process:
        """Return the `claude` that runs for it."""
        found: psutil.Process = wait(lambda: next((p for p in self.family() if is_claude(p)), None))
        return found

    def stop(self) -> int:
        """Ask it to stop as a runtime does; return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(10)

    def end(self) -> None:
        """End it, however it is."""
        if self.process is not None and self.process.poll() is None:
            family = self.family()
            self.process.kill()
            self.process.wait()
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


class Model:
    """A rehearsal in a thread of its own."""

    def __init__(self, scenario: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.rehearsal: Rehearsal = self._run(serve_rehearsal(parse_scenario(scenario)))

    def session(self, **more: Any) -> dict[str, Any]:
        """Return a host's session that talks to it: nothing is asked, and a failed request is not tried again."""
        env = {
            "ANTHROPIC_BASE_URL": self.rehearsal.url,
            "ANTHROPIC_API_KEY": "rehearsal-coder",
            "CLAUDE_CODE_MAX_RETRIES": "0",
        }
        return {"agent": "coder", "role": "agent", "permission_mode": "bypassPermissions", "env": env, **more}

    def end(self) -> None:
        """Close it; closing twice is closing once."""
        if self._thread.is_alive():
            self._run(self.rehearsal.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_SECONDS)


def is_claude(process: psutil.Process) -> bool:
    """Whether this process is the program `claude`."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return Path(process.exe()).name == "claude"
    return False


def wait(met: Callable[[], Any], *, seconds: float = DEADLINE_SECONDS) -> Any:
    """Return what ``met`` returns once that is true; fails the test where it does not come to be."""
    deadline = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found


def gone(processes: list[psutil.Process]) -> bool:
    """Whether none of these processes lives."""
    return not any(map(lives, processes))


def lives(process: psutil.Process) -> bool:
    """Whether a process runs; one that has ended and is not waited for does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
