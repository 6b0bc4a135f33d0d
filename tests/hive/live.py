"""A whole hive for a test: the real daemon, real containers, the real claude program, a rehearsed model."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import attrs

from hyperhive.cli import client
from hyperhive.events import chain
from hyperhive.events.log import read_only
from hyperhive.events.reading import Selection, select
from hyperhive.replay import verify
from tests.web.agent.said import Speaker

DEADLINE_SECONDS = 120.0
"""For what takes a second or two; generous, since the machine may be busy."""

T = TypeVar("T")


@attrs.frozen
class Answer:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)


class LiveHive:
    """One data directory, and the daemon that runs on it now."""

    def __init__(self, scenario: str, *, runtime: str = "bubblewrap", settings: tuple[str, ...] = ()) -> None:
        # Not in the test's own directory: the path of a socket has to be short.
        self.home = Path(tempfile.mkdtemp(prefix="hh-", dir="/tmp"))
        self.scenario = self.home / "scenario.toml"
        self.scenario.write_text(scenario)
        self._runtime = runtime
        self._settings = ("crash_watch.interval_seconds=0.5", *settings)
        self.daemon: subprocess.Popen[bytes] | None = None

    @property
    def database(self) -> Path:
        """The log's file."""
        return self.home / "d" / "hive.sqlite"

    def state(self, name: str) -> Path:
        """An agent's own directory."""
        return self.home / "d" / "agents" / name / "state"

    def serve(self, listen: str = "127.0.0.1:0") -> None:
        """Start a daemon and wait until it answers."""
        argv = [sys.executable, "-m", "hyperhive.cli", "serve", "--data-dir", f"{self.home}/d", "--run-dir"]
        argv += [f"{self.home}/r", "--listen", listen, "--runtime", self._runtime]
        argv += ["--rehearse", str(self.scenario)]
        for setting in self._settings:
            argv += ["--set", setting]
        with (self.home / "daemon.log").open("ab") as output:
            self.daemon = subprocess.Popen(argv, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        self.until("the daemon answers", self._answers)

    def kill_daemon(self) -> None:
        """End the daemon as a power cut would; agents run on."""
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait()

    def ask(self, cmd: str, **fields: object) -> dict[str, Any]:
        """Say something on host.sock."""
        return client.ask(self.home / "r" / "host.sock", {"cmd": cmd, **fields}, seconds=DEADLINE_SECONDS)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program as the operator does, against this hive."""
        argv = [sys.executable, "-m", "hyperhive.cli", arguments[0]]
        argv += ["--data-dir", f"{self.home}/d", "--run-dir", f"{self.home}/r", *arguments[1:]]
        return subprocess.run(
            argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=DEADLINE_SECONDS, check=False
        )

    def http(self, path: str, form: Sequence[tuple[str, str]] | None = None, **headers: str) -> Answer:
        """Ask over HTTP as a program with the operator's token does; with a form, post it."""
        connection = http.client.HTTPConnection(
            self.ask("urls")["urls"]["home"].split("/")[2], timeout=DEADLINE_SECONDS
        )
        token = (self.home / "d" / "token").read_text().strip()
        given = {"Authorization": f"Bearer {token}", "Accept": "application/json", **headers}
        with contextlib.closing(connection):
            if form is None:
                connection.request("GET", path, headers=given)
            else:
                given = {"Content-Type": "application/x-www-form-urlencoded", **given}
                connection.request("POST", path, body=urlencode(form), headers=given)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read().decode())

    def agent(self, name: str) -> dict[str, Any]:
        """An agent's row."""
        rows: list[dict[str, Any]] = self.ask("agent_status")["agent_statuses"]
        return next(row for row in rows if row["name"] == name)

    def harness(self, name: str) -> Speaker:
        """Return what speaks on an agent's socket as its harness does."""
        return Speaker(self.home / "r" / "agents" / name / "agent.sock")

    def kill_agent(self, name: str) -> None:
        """Kill every process of an agent from outside, at once."""
        self._signal(name, signal.SIGKILL)

    @contextlib.contextmanager
    def stands_still(self, name: str) -> Iterator[None]:
        """Stop every process of an agent for the length of a block: it answers nothing, and does not end."""
        self._signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> None:
        mine = [pid for pid, line in processes_of(self.state(name)).items() if "hyperhive.cli serve" not in line]
        for pid in {*mine, *_descendants(mine)} - {os.getpid()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def spawn(self, *names: str) -> None:
        """Spawn agents and wait until each has ended its first turn, on the kick."""
        for name in names:
            self.ask("spawn", name=name)
        self.awake(*names)

    def awake(self, *names: str) -> None:
        """Wait until each has ended a turn: the first is on the kick, and the manager's own spawn is the daemon's."""
        for name in names:
            self.until(f"{name} has ended a turn", functools.partial(self.facts, f"turn-{name}", "TurnEnded"))

    def facts(self, stream: str | None = None, *types: str, after: int = 0) -> list[dict[str, Any]]:
        """Read facts from the file."""
        with contextlib.closing(read_only(self.database)) as connection:
            return list(select(connection, Selection(stream=stream, types=types, after=after)))

    def mail(self, to: str) -> list[str]:
        """The bodies that were sent to somebody, oldest first."""
        return [fact["data"]["body"] for fact in self.facts(f"inbox-{to}", "MessageSent")]

    def until(self, what: str, look: Callable[[], T]) -> T:
        """Look again and again until there is something to see; fail with the daemon's last words."""
        end = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < end:
            if found := look():
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited for: {what}\n{self.last_words()}")

    def last_words(self) -> str:
        """What the daemon and the harnesses said last."""
        logs = [self.home / "daemon.log", *sorted(self.home.glob("d/agents/*/harness.log"))]
        return "\n".join(
            f"== {log.name} of {log.parent.name}\n{log.read_text()[-3000:]}" for log in logs if log.exists()
        )

    def verify(self) -> None:
        """Prove that chain and views hold."""
        chain.verify(self.database)
        verify.verify(self.database)

    def end(self) -> None:
        """Stop the agents, then the daemon; leave nothing behind."""
        if self.daemon is not None and self.daemon.poll() is not None:
            self.serve()
        self.until("all are stopped", self._stopped)
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGTERM)
        assert self.daemon.wait(timeout=DEADLINE_SECONDS) == 0
        self.until("no process is left", lambda: not processes_of(self.home))
        shutil.rmtree(self.home)

    def _stopped(self) -> bool:
        rows = [row for row in self.ask("agent_status")["agent_statuses"] if row["running"] or row["pending"]]
        for row in rows:
            # Refused where something else is under way, such as a restart: asked again after its end.
            with contextlib.suppress(client.Refused):
                self.ask("kill", name=row["name"])
        return not rows

    def _answers(self) -> bool:
        assert self.daemon is not None
        assert self.daemon.poll() is None, self.last_words()
        with contextlib.suppress(client.NotRunning, client.Unanswered):
            self.ask("list")
            return True
        return False


@contextlib.contextmanager
def live(scenario: str, *, runtime: str = "bubblewrap", settings: tuple[str, ...] = ()) -> Iterator[LiveHive]:
    """Run a hive for the length of a test, and leave no process behind, also after a failure."""
    hive = LiveHive(scenario, runtime=runtime, settings=settings)
    try:
        hive.serve()
        yield hive
        hive.verify()
        hive.end()
    finally:
        _sweep(hive.home)


def processes_of(home: Path) -> dict[int, str]:
    """Every process whose command line or environment names a directory, by pid."""
    needle = os.fsencode(home)
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes()
            if needle in line or needle in (process / "environ").read_bytes():
                found[int(process.name)] = line.replace(b"\0", b" ").decode(errors="replace")
    return found


def _descendants(pids: list[int]) -> list[int]:
    found: list[int] = []
    for pid in pids:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                below = [int(child) for child in children.read_text().split()]
            except OSError:
                continue
            found += [*below, *_descendants(below)]
    return found


def _sweep(home: Path) -> None:
    for pid in processes_of(home):
        if pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    shutil.rmtree(home, ignore_errors=True)
