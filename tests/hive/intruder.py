"""Runs in an agent's own Bash, tries to see and reach what is not its own, and writes down what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

SKIPPED = {"/proc", "/sys", "/usr", "/dev"}


def outcome(act: Any, *arguments: Any) -> str:
    """Try it; return ``did``, or the error's name."""
    try:
        act(*arguments)
    except OSError as error:
        return type(error).__name__
    return "did"


def connect(path: str) -> None:
    """Open a connection and close it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)


def say(request: dict[str, Any]) -> dict[str, Any]:
    """Say something on the agent's own socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ["HYPERHIVE_SOCKET"])
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as lines:
            reply: dict[str, Any] = json.loads(lines.readline())
            return reply


def status_of(url: str) -> int | str:
    """Ask over HTTP without a token, past the way out; return the status, or why there was none."""
    try:
        straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with straight.open(url, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError as error:
        return type(error.reason).__name__


def of_processes(name: str) -> str:
    """Return a file of every process that /proc shows."""
    seen = ""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                seen += (entry / name).read_text(errors="replace")
    return seen.replace("\0", "\n")


def files() -> list[str]:
    """Return every path outside of the system's own directories."""
    found = []
    for directory, below, names in os.walk("/"):
        below[:] = [name for name in below if str(Path(directory, name)) not in SKIPPED]
        found += [str(Path(directory, name)) for name in names]
    return found


question = json.loads(Path("question.json").read_text())
report = {
    "seen": [path for path in question["paths"] if os.path.lexists(path)],
    "reached": {path: outcome(connect, path) for path in question["sockets"]},
    "written": {path: outcome(Path(path).write_text, "x") for path in question["written"]},
    "environments": of_processes("environ"),
    "command_lines": of_processes("cmdline"),
    "files": files(),
    "status": status_of(question["url"]),
    "replies": {name: say(request) for name, request in question["requests"].items()},
}
Path("report.part").write_text(json.dumps(report))
Path("report.part").rename("report.json")
