"""The real ``hyperhive serve``, as a process with a data and a run directory of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs

from hyperhive.cli import client
from hyperhive.events import chain
from hyperhive.events.log import read_only
from hyperhive.events.reading import Selection, select
from hyperhive.replay import verify
from hyperhive.runtimes import choose

REPOSITORY = Path(__file__).parents[1]
DEADLINE_SECONDS = 60.0
"""For what takes a second or two; generous, since the machine may be busy."""

T = TypeVar("T")


@attrs.frozen
class Ended:
    """How a daemon ended."""

    code: int
    said: str


@attrs.define
class Served:
    """One place, and the daemon that runs on it now."""

    home: Path
    data: Path
    run: Path
    daemon: subprocess.Popen[bytes] | None = None

    def argv(self, *arguments: str) -> list[str]:
        """Return the command line: no manager, no isolation, a free port, unless the arguments say otherwise."""
        usual = ["--data-dir", str(self.data), "--run-dir", str(self.run), "--listen", "127.0.0.1:0"]
        usual += ["--runtime", "process", "--set", "manager=false"]
        return [sys.executable, "-m", "hyperhive.cli", "serve", *usual, *arguments]

    def environment(self) -> dict[str, str]:
        """Return a whole environment: nothing of the machine's gets in."""
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(REPOSITORY)}

    def begin(self, *arguments: str) -> None:
        """Start a daemon, without waiting for anything."""
        with (self.home / "said").open("wb") as said:
            self.daemon = subprocess.Popen(
                self.argv(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=self.environment(),
                cwd=self.home,
                start_new_session=True,
            )

    def serve(self, *arguments: str) -> None:
        """Start a daemon and wait until all of it is open."""
        self.begin(*arguments)
        self.until("the daemon serves", lambda: '"event": "serving"' in self.said())

    def refused(self, *arguments: str) -> Ended:
        """Start a daemon that will not run, and return how it ended."""
        self.begin(*arguments)
        return self.ended()

    def ended(self) -> Ended:
        """Wait for the daemon's end."""
        assert self.daemon is not None
        try:
            code = self.daemon.wait(timeout=DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon does not end; it said:\n{self.said()}") from None
        return Ended(code, self.said())

    def stop(self, number: int = signal.SIGTERM) -> Ended:
        """Send a signal and wait for the end."""
        assert self.daemon is not None
        self.daemon.send_signal(number)
        return self.ended()

    def said(self) -> str:
        """Return what the daemon has said so far."""
        return (self.home / "said").read_text()

    def ask(self, cmd: str, **fields: object) -> dict[str, Any]:
        """Say something on host.sock."""
        return client.ask(self.run / "host.sock", {"cmd": cmd, **fields})

    @property
    def port(self) -> int:
        """Where HTTP is served."""
        return int(self.ask("urls")["urls"]["home"].rpartition(":")[2].rstrip("/"))

    @property
    def database(self) -> Path:
        """The log's file."""
        return self.data / "hive.sqlite"

    def facts(self, stream: str | None = None) -> list[dict[str, Any]]:
        """Read facts from the file."""
        with contextlib.closing(read_only(self.database)) as connection:
            return list(select(connection, Selection(stream=stream)))

    def verify(self) -> int:
        """Prove that chain and views hold; returns the position."""
        chain.verify(self.database)
        return verify.verify(self.database).position

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        """Look again and again until there is something to see; fail where the daemon ends before, or time is over."""
        end = time.monotonic() + DEADLINE_SECONDS
        while not (found := look()):
            assert self.daemon is None or self.daemon.poll() is None, f"it ended before {what}:\n{self.said()}"
            assert time.monotonic() < end, f"waited for: {what}\n{self.said()}"
            time.sleep(0.02)
        return found


@contextmanager
def place() -> Iterator[Served]:
    """Give a place for the length of a block; then the daemon on it is killed, and whatever agents it has left."""
    # pytest's own directories are too long for the path of a socket.
    with tempfile.TemporaryDirectory(prefix="hh-", dir="/tmp") as directory:
        home = Path(directory)
        served = Served(home=home, data=home / "data", run=home / "run")
        try:
            yield served
        finally:
            if served.daemon is not None and served.daemon.poll() is None:
                served.daemon.kill()
                served.daemon.wait()
            if choose.used(served.run):
                # In a thread: a browser that is driven from this one has an event loop here.
                with ThreadPoolExecutor(1) as thread:
                    thread.submit(asyncio.run, _end_agents(served)).result()


async def _end_agents(served: Served) -> None:
    hive = next(fact["data"]["hive"] for fact in served.facts("hive-hive"))
    for name in choose.used(served.run):
        runtime = choose.build(name, run_dir=served.run, hive=hive)
        for container in await runtime.list():
            await runtime.stop(container.name, 0)
