"""Memory of an idle daemon and of an idle harness whose session is released; a harness from start to first recv."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from bench.daemon import Daemon, daemon, environment, until
from bench.figures import at_most, median, note, number, scratch
from harness import wire

MEGABYTE = 1_000_000
SCENARIO = '[default]\ntext = "nothing to do"\n'
STARTS = 7
DEADLINE_SECONDS = 10.0
ROOT = Path(wire.__file__).parents[1]
"""Where the harness is imported from, as its containers are told."""


def resident(process: psutil.Process) -> float:
    """Return the megabytes that a process holds."""
    return float(process.memory_info().rss) / MEGABYTE


def agents_processes(running: Daemon) -> list[psutil.Process]:
    """Return every process that was given a socket of this daemon's agents."""
    found = []
    for process in psutil.process_iter():
        try:
            given = process.environ().get("HYPERHIVE_SOCKET", "")
        except psutil.Error:
            continue
        if given.startswith(f"{running.run}/"):
            found.append(process)
    return found


def idle_harness(running: Daemon) -> psutil.Process:
    """Let an agent have a turn, and return its harness once that is alone again."""
    running.ask("spawn", name="coder")

    def alone() -> psutil.Process | None:
        harnesses = [process for process in agents_processes(running) if process.name().startswith("python")]
        turns = sum(row["turns"] for row in running.ask("agent_status")["agent_statuses"])
        if turns and len(harnesses) == 1:
            return harnesses[0]
        return None

    harness: psutil.Process = until("the session is released", alone)
    return harness


def first_recv(place: Path) -> float:
    """Start a harness against a host that says yes to all; return the milliseconds until it asks for mail."""
    sock = place / "agent.sock"
    sock.unlink(missing_ok=True)
    state = place / "state"
    state.mkdir(exist_ok=True)
    given = {"HYPERHIVE_SOCKET": str(sock), "HYPERHIVE_STATE": str(state), "HYPERHIVE_AGENT": "coder"}
    argv = [sys.executable, "-sP", "-m", "harness"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(DEADLINE_SECONDS)
        listener.bind(str(sock))
        listener.listen()
        begin = time.perf_counter()
        with subprocess.Popen(
            argv, env=environment(**given, PYTHONPATH=str(ROOT)), stderr=subprocess.DEVNULL
        ) as program:
            try:
                wait_for_recv(listener)
                return (time.perf_counter() - begin) * 1_000
            finally:
                program.kill()


def wait_for_recv(listener: socket.socket) -> None:
    """Say yes to whatever a harness asks before it asks for mail."""
    connection, _ = listener.accept()
    connection.settimeout(DEADLINE_SECONDS)
    with connection:
        until_recv(connection)


def until_recv(connection: socket.socket) -> None:
    """Answer one harness until it asks for mail, and leave that unanswered, as a host with nothing to say does."""
    with connection.makefile("rb") as lines:
        while (request := wire.decode(lines.readline()))["cmd"] != "recv":
            if request["cmd"] != "control":
                connection.sendall(wire.encode({"ok": True, "id": request["id"]}))


def main() -> None:
    """Measure and say."""
    with scratch() as place:
        (place / "scenario.toml").write_text(SCENARIO)
        options = ("--rehearse", str(place / "scenario.toml"), "--set", "claude.idle_seconds=1")
        with daemon(place, *options) as running:
            at_most("memory, idle daemon", resident(psutil.Process(running.process.pid)), "MB", 80)
            harness = idle_harness(running)
            at_most("memory, idle harness, its session released", resident(harness), "MB", 25)
            others = [process for process in agents_processes(running) if process != harness]
            for process in others:
                note(f"beside it: {number(resident(process))} MB, {' '.join(process.cmdline())[:60]}")
        first_recv(place)
        at_most("harness, start to first recv", median([first_recv(place) for _ in range(STARTS)]), "ms", 300)
