"""A place for a runtime under test: directories, specs, and a program that is a script in the agent's state."""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import json
import os
import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from hyperhive.runtimes.protocol import Container, Runtime, Spec

PROGRAM = (
    sys.executable,
    "-c",
    "import os; exec(compile(open(os.environ['HYPERHIVE_STATE'] + '/program.py').read(), 'program.py', 'exec'))",
)
"""What stands for the harness: whatever the test wrote into the state directory."""
PATIENCE_SECONDS = 20.0
FOREVER = "import signal\nopen('runs', 'w').close()\nwhile True: signal.pause()\n"


@attrs.frozen(kw_only=True)
class Home:
    """One hive's directories, and the runtime that works in them, as many objects of it as a test wants."""

    root: Path
    hive: str
    factory: str

    @property
    def run_dir(self) -> Path:
        """Where the runtime keeps its records."""
        return self.root / "run"

    def runtime(self, program: tuple[str, ...] = PROGRAM) -> Runtime:
        """Build a runtime, as a daemon that has just been started would."""
        return build(self.factory, run_dir=self.run_dir, hive=self.hive, program=program)

    def spec(self, program: str = FOREVER, *, name: str = "coder", **changes: Any) -> Spec:
        """Return a spec, with its directories, whose program is this text."""
        state = self.root / "agents" / name / "state"
        socket_dir = self.root / "sockets" / name
        for directory in (state, socket_dir, self.root / "logs", self.run_dir):
            directory.mkdir(parents=True, exist_ok=True)
        (state / "program.py").write_text(program)
        values: dict[str, Any] = {
            "name": name,
            "state": state,
            "socket_dir": socket_dir,
            "log": self.root / "logs" / f"{name}.log",
            "generation": 1,
        }
        return Spec(**{**values, **changes})


def build(factory: str, *, run_dir: Path, hive: str, program: tuple[str, ...] = PROGRAM) -> Runtime:
    """Build the runtime that ``module:Class`` names."""
    module, _, name = factory.partition(":")
    runtime: Runtime = getattr(importlib.import_module(module), name)(run_dir=run_dir, hive=hive, program=program)
    return runtime


@contextmanager
def home(factory: str) -> Iterator[Home]:
    """Make a home, and leave neither a process nor a file of it behind."""
    # Not pytest's directory, whose path leaves too little of a socket's 107 bytes.
    place = Home(root=Path(tempfile.mkdtemp(prefix="hh-")), hive=uuid.uuid4().hex, factory=factory)
    try:
        yield place
    finally:
        asyncio.run(_end(place.runtime()))
        shutil.rmtree(place.root)


async def _end(runtime: Runtime) -> None:
    for container in await runtime.list():
        await runtime.stop(container.name, 0)


async def started(runtime: Runtime, spec: Spec) -> Container:
    """Create and start, wait until the program has come to its point, and return what the runtime sees."""
    (spec.state / "runs").unlink(missing_ok=True)
    await runtime.create(spec)
    await runtime.start(spec.name)
    await until((spec.state / "runs").exists)
    return await observed(runtime, spec.name)


async def observed(runtime: Runtime, name: str) -> Container:
    """Return the one container of this name."""
    (container,) = [each for each in await runtime.list() if each.name == name]
    return container


async def stopped(runtime: Runtime, name: str) -> Container:
    """Wait until it does not run, by itself, and return what the runtime sees."""
    end = time.monotonic() + PATIENCE_SECONDS
    while (container := await observed(runtime, name)).running:
        assert time.monotonic() < end, f"{name} still runs"
        await asyncio.sleep(0.01)
    return container


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; fail where it does not come."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "the condition did not come"
        await asyncio.sleep(0.01)


def held(path: Path) -> bool:
    """Whether a process, in whatever namespace, holds this file locked: the proof that it lives."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def listening(path: Path, answer: str) -> Iterator[None]:
    """Serve a unix socket that gives every connection one answer, with the mode that the daemon's have."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(answer.encode())

    server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
    path.chmod(0o660)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        path.unlink()


def killed_daemon(home: Home, spec: Spec) -> None:
    """Let another process create and start a container, and kill that process with SIGKILL."""
    wire = {"name": spec.name, "generation": spec.generation}
    wire |= {field: str(getattr(spec, field)) for field in ("state", "socket_dir", "log")}
    argv = (sys.executable, "-m", "tests.runtimes.daemon", home.factory, str(home.run_dir), home.hive, json.dumps(wire))
    path = os.pathsep.join(entry for entry in sys.path if entry)
    daemon = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
    assert daemon.stdout is not None
    with daemon.stdout:
        said = daemon.stdout.readline()
        daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    assert said == "started\n"
