"""A daemon's own life: told to stop while clients wait, told to read its configuration anew, watched by systemd."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import pytest

from harness import wire
from tests.served import DEADLINE_SECONDS, Served, place


@pytest.fixture
def served() -> Iterator[Served]:
    """A place for a daemon."""
    with place() as found:
        yield found


@attrs.frozen
class Waiting:
    """A client that has said something and reads the answers later."""

    lines: BinaryIO

    @classmethod
    def on(cls, path: Path, *requests: dict[str, object]) -> Waiting:
        """Connect and say it."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE_SECONDS)
        connection.connect(str(path))
        with contextlib.suppress(BrokenPipeError):  # it has been turned away, and is told so
            connection.sendall(b"".join(map(wire.encode, requests)))
        with connection:
            return cls(connection.makefile("rb"))

    def next(self) -> dict[str, Any]:
        """Return the next answer."""
        answer: dict[str, Any] = json.loads(self.lines.readline())
        return answer

    def rest(self) -> list[dict[str, Any]]:
        """Return all that comes until the daemon hangs up."""
        with self.lines:
            return [json.loads(line) for line in self.lines]


def runs(served: Served, name: str) -> dict[str, Any] | None:
    """Return an agent's row, where it runs."""
    rows = served.ask("agent_status")["agent_statuses"]
    return next((row for row in rows if row["name"] == name and row["running"]), None)


def told(served: Served, event: str) -> list[dict[str, Any]]:
    """Return the lines of the daemon's log that tell of this."""
    lines = [json.loads(line) for line in served.said().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


class TestStop:
    """SIGTERM."""

    def test_answers_who_waits(self, served: Served) -> None:
        """Long polls are answered at once with nothing, a subscriber is hung up on, and the agent runs on."""
        served.serve()
        served.ask("spawn", name="coder")
        before = served.until("coder runs", lambda: runs(served, "coder"))
        agent = served.run / "agents" / "coder" / "agent.sock"
        holding = [mail["id"] for mail in Waiting.on(agent, {"cmd": "recent"}).next()["messages"]]
        recv: dict[str, object] = {"cmd": "recv", "wait_seconds": 180, "holding": holding}
        control: dict[str, object] = {"cmd": "control", "wait_seconds": 180, "seen": 0, "id": "c"}
        # What is asked with an id is answered while what was asked before it waits: then the polls are open.
        waiting = Waiting.on(agent, {**recv, "id": "r"}, control, {"cmd": "recent", "id": "now"})
        assert waiting.next()["id"] == "now"
        in_turn = Waiting.on(agent, {"cmd": "recent"}, recv)
        assert in_turn.next()["ok"] is True
        subscriber = Waiting.on(served.run / "host.sock", {"cmd": "subscribe_agent_status"})
        assert subscriber.next() == {"version": 1, "ok": True, "error": None}
        begun = time.monotonic()
        ended = served.stop()
        assert (ended.code, "Traceback" in ended.said) == (0, False)
        assert time.monotonic() - begun < 30
        by_id = {answer["id"]: answer for answer in waiting.rest()}
        assert by_id["r"] == {"ok": True, "messages": [], "id": "r"}
        assert (by_id["c"]["ok"], by_id["c"]["seen"], by_id["c"]["hold"]) == (True, 0, False)
        assert in_turn.rest() == [{"ok": True, "messages": []}]
        assert all(answer["ok"] for answer in subscriber.rest())
        served.serve()
        after = served.until("coder is adopted", lambda: runs(served, "coder"))
        assert (after["generation"], after["since"]) == (before["generation"], before["since"])

    def test_terminal_that_goes_away(self, served: Served) -> None:
        """Started on a terminal, it ends in good order when that is closed, as whatever runs there does."""
        master, slave = pty.openpty()
        terminal = os.ttyname(slave)
        # A session's first process gets the terminal that it opens.
        argv = ["/bin/sh", "-c", 'exec "$@" <"$0" >>said 2>&1', terminal, *served.argv()]
        served.daemon = subprocess.Popen(argv, env=served.environment(), cwd=served.home, start_new_session=True)
        try:
            served.until("it serves", lambda: (served.home / "said").exists() and "serving" in served.said())
            served.daemon.send_signal(signal.SIGHUP)
            served.until("it has read its configuration", lambda: told(served, "reloaded"))
        finally:
            os.close(slave)
            os.close(master)
        assert served.ended().code == 0
        assert served.facts()[-1]["type"] == "DaemonStopped"


class TestReload:
    """SIGHUP."""

    def test_what_changes(self, served: Served) -> None:
        """Sessions and limits follow the file at once; what cannot is said; a broken file changes nothing."""
        served.data.mkdir(mode=0o700)
        file = served.data / "hyperhive.toml"
        file.write_text('[claude]\nmodel = "opus"\n')
        served.serve()
        served.ask("spawn", name="coder")
        served.until("coder runs", lambda: runs(served, "coder"))
        agent = served.run / "agents" / "coder" / "agent.sock"
        assert Waiting.on(agent, {"cmd": "session"}).next()["model"] == "opus"
        assert served.daemon is not None

        file.write_text('questions = true\n[claude]\nmodel = "sonnet"\n[limits]\nconnections_per_socket = 2\n')
        served.daemon.send_signal(signal.SIGHUP)
        served.until("it is reloaded", lambda: told(served, "reloaded"))
        assert Waiting.on(agent, {"cmd": "session"}).next()["model"] == "sonnet"
        assert [line["setting"] for line in told(served, "needs_restart")] == ["questions"]
        assert told(served, "reloaded")[0]["changed"] == ["claude.model", "limits.connections_per_socket"]
        hosts = [Waiting.on(served.run / "host.sock", {"cmd": "subscribe_agent_status"}) for _ in range(3)]
        assert [host.next()["ok"] for host in hosts] == [True, True, False]
        for host in hosts:
            host.lines.close()

        file.write_text('[claude]\nmodle = "opus"\n')
        served.daemon.send_signal(signal.SIGHUP)
        (line,) = served.until("it is refused", lambda: told(served, "not_reloaded"))
        assert "did you mean claude.model?" in line["error"]
        assert Waiting.on(agent, {"cmd": "session"}).next()["model"] == "sonnet"
        assert served.stop().code == 0


@attrs.define
class Notified(Served):
    """A place whose daemon is a service of systemd's."""

    notify: str = ""

    def environment(self) -> dict[str, str]:
        """Return the environment with systemd's variables."""
        return {**super().environment(), "NOTIFY_SOCKET": self.notify, "WATCHDOG_USEC": "1000000"}


def test_says_how_it_is(served: Served) -> None:
    """Ready when it serves, reloading and ready again, alive all the while, stopping at last."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0{served.home}")
        ear.settimeout(DEADLINE_SECONDS)
        heard: list[str] = []

        def until(wanted: str, times: int = 1) -> None:
            while heard.count(wanted) < times:
                heard.append(ear.recv(4096).decode().partition("\n")[0])

        notified = Notified(home=served.home, data=served.data, run=served.run, notify=f"@{served.home}")
        notified.begin()
        served.daemon = notified.daemon
        assert notified.daemon is not None
        until("READY=1")
        assert notified.ask("list")["ok"] is True
        until("WATCHDOG=1", 3)
        notified.daemon.send_signal(signal.SIGHUP)
        until("READY=1", 2)
        assert notified.stop().code == 0
        until("STOPPING=1")
        assert [word for word in heard if word != "WATCHDOG=1"] == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
