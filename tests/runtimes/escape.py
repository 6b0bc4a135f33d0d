"""The escape suite: what an agent tries in order to get out, for every runtime that keeps agents in.

A runtime takes it up with two lines::

    class TestEscape(EscapeSuite):
        factory = "hyperhive.runtimes.podman:Podman"

The attempts and what is expected of them stand in `hyperhive.runtimes.weaknesses`. The container has no network but for
its way out (``egress = none``), as an agent of a new hive has.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import platform
import shutil
import socket
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

import harness
from hyperhive.runtimes import host
from hyperhive.runtimes.confinement import Egress, EgressPolicy
from hyperhive.runtimes.weaknesses import ACCEPTED, ATTEMPTS
from tests.runtimes.home import Home, home, listening, started, until

ESCAPEE = Path(__file__).with_name("escapee.py")
OUTSIDE = ("planted_code", "planted_shell")
"""Attempts that are not made by the escapee itself; tests/hive/test_egress.py has the second, with Claude."""
INSIDE = tuple(name for name in ATTEMPTS if name not in OUTSIDE)
NO_NETWORK = Egress(policy=EgressPolicy.NONE)
RESIDENT = "import os, signal, sys\nopen('runs', 'w').close()\nwhile True: signal.pause()\n"
PLANTED = "open('/state/planted', 'a').write(__name__ + ' ')\n"


class EscapeSuite:
    """Every attempt, tried once for all tests of a runtime."""

    factory: ClassVar[str]

    @pytest.fixture(scope="class")
    @classmethod
    def place(cls) -> Iterator[Home]:
        """Make a hive with something to find, and leave nothing of it."""
        with home(cls.factory) as found:
            yield found

    @pytest.fixture(scope="class")
    @classmethod
    def report(cls, place: Home) -> dict[str, Any]:
        """Let an agent try everything, and return what came of it."""
        return escape(place)

    @pytest.mark.parametrize("attempt", INSIDE)
    def test_attempt(self, report: dict[str, Any], place: Home, attempt: str) -> None:
        """It is refused, or it stands in the table of what this runtime does not refuse."""
        accepted = ACCEPTED[place.runtime().name]
        assert report[attempt]["open"] == (attempt in accepted), report[attempt]["said"]

    def test_planted_code(self, place: Home) -> None:
        """What an agent leaves in its home for Python, its shell or git is not run by the harness of the next start."""
        assert not planted(place)

    def test_the_host_is_unharmed(self, report: dict[str, Any], place: Home) -> None:
        """The process that it knew of was neither killed nor signalled, and no file was changed."""
        assert report["victim_lives"]
        assert (place.root / "hive.sqlite").read_text() == "the log"


def escape(place: Home, attempts: Sequence[str] = INSIDE) -> dict[str, Any]:
    """Let one agent try to reach another, and the host."""
    secret = f"secret-{uuid.uuid4().hex}"
    runtime = place.runtime()
    other = place.spec(RESIDENT, name="reviewer", environment={"SECRET": secret}, egress=NO_NETWORK)
    (other.state / "NOTES.md").write_text(secret)
    (place.root / "hive.sqlite").write_text("the log")
    spec = place.spec(ESCAPEE.read_text(), name="coder", egress=NO_NETWORK)
    _add_key(secret)
    victim = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.pause()", secret], env={"SECRET": secret}, start_new_session=True
    )
    with (
        contextlib.ExitStack() as stack,
        socket.create_server(("127.0.0.1", 0)) as loopback,
        socket.create_server(("0.0.0.0", 0)) as own,  # noqa: S104 - the attempt itself
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        stack.callback(victim.wait)
        stack.callback(victim.kill)
        abstract.bind("\0" + secret)
        abstract.listen()
        for path in (place.root / "host.sock", other.socket_dir / "agent.sock"):
            stack.enter_context(listening(path, "hello"))
        told = {
            "attempts": list(attempts),
            "secret": secret,
            "root": str(place.root),
            "other_state": str(other.state / "NOTES.md"),
            "other_socket": str(other.socket_dir / "agent.sock"),
            "log": str(place.root / "hive.sqlite"),
            "host_socket": str(place.root / "host.sock"),
            "records": str(place.run_dir),
            "own_output": str(spec.log),
            "victim": victim.pid,
            "abstract": secret,
            "installation": [str(Path(harness.__file__)), sys.prefix, sysconfig.get_path("purelib")],
            "loopback_port": loopback.getsockname()[1],
            "address": _address(),
            "own_port": own.getsockname()[1],
        }
        (spec.state / "told.json").write_text(json.dumps(told))

        async def story() -> None:
            await started(runtime, other)
            await started(runtime, spec)

        asyncio.run(story())
        report: dict[str, Any] = json.loads((spec.state / "report.json").read_text())
        report["victim_lives"] = victim.poll() is None
    return report


def planted(place: Home) -> str:
    """Plant code wherever a Python, a shell or git looks for some, start the harness, and return what ran of it."""
    spec = place.spec(name="gardener", egress=NO_NETWORK)
    state = spec.state
    packages = state / f".local/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for path in (
        *(state / f"{module}.py" for module in ("sitecustomize", "usercustomize", "os", "json", "attrs", "signal")),
        *(packages / f"{module}.py" for module in ("sitecustomize", "usercustomize")),
        state / "harness/__init__.py",
        state / "harness/__main__.py",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PLANTED)
    (packages / "planted.pth").write_text(f"import os; {PLANTED}")
    for name in (".bashrc", ".profile", ".bash_profile", ".shrc", ".env"):
        (state / name).write_text("echo shell >>/state/planted\n")
    (state / ".gitconfig").write_text("[core]\n\tfsmonitor = echo git >>/state/planted\n")
    for program in ("python3", "python", "git", "sh", "bash", "claude", "env"):
        path = state / ".local/bin" / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\necho program >>/state/planted\n")
        path.chmod(0o755)
    runtime = place.runtime(host.harness_argv())

    async def story() -> None:
        with listening(spec.socket_dir / "agent.sock", ""):
            await runtime.create(spec)
            await runtime.start(spec.name)
            # It has read all its code by the time that it looks for its host.
            await until(lambda: "event=harness_started" in spec.log.read_text())
        await runtime.stop(spec.name, 0)

    asyncio.run(story())
    marks = state / "planted"
    found = marks.read_text() if marks.exists() else ""
    shutil.rmtree(state)
    return found


def _address() -> str:
    """Return an address of this host that is not its loopback, or else that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _add_key(name: str) -> None:
    """Put a key into this session's keyring, where the daemon's would be; without keyrings there is none to find."""
    number = {"x86_64": 248, "aarch64": 217}[platform.machine()]
    ctypes.CDLL(None).syscall(number, b"user", name.encode(), b"a secret", 8, ctypes.c_int(-3))
