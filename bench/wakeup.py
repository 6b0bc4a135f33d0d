"""Send → recv: how soon a waiting agent has a message, and how many messages go through fifty waiting agents.

The peer is redis-server with ``appendonly yes, appendfsync always`` and BLPOP: durable before LPUSH returns, as ours
is. Both are asked over unix sockets by Python clients in one process apart: ours by JSON lines, theirs by redis-py.
Ours also acknowledges what it has received; with redis a message is gone once it is popped. Beside them stands
`bench.least`: what the same durable facts cost where nothing is done about them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
import redis.asyncio

from bench.daemon import environment, until
from bench.figures import Rounds, at_least, interleaved, median, note, number, rate, ratio, ratio_at_most, scratch
from harness import wire

AGENTS = 50
ONE = 300
"""Messages to one agent in a round."""
EACH = 40
"""Messages to each of fifty in a round."""
BODY = "x" * 100
SETTLE_SECONDS = 0.001
"""Until a receiver that says that it will wait does wait."""


class Line:
    """A connection to an agent's socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rb")

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request, read its reply."""
        self._socket.sendall(wire.encode(request))
        return wire.decode(self._file.readline())


def wake_ups(send: Callable[[], object], receive: Callable[[], object], finish: Callable[[], object]) -> float:
    """Return the median milliseconds from a send until a receiver that waits has the message."""
    ready, done = threading.Semaphore(0), threading.Semaphore(0)
    got: list[float] = []

    def receiver() -> None:
        for _ in range(ONE):
            ready.release()
            receive()
            got.append(time.perf_counter())
            finish()
            done.release()

    thread = threading.Thread(target=receiver)
    thread.start()
    sent = []
    for _ in range(ONE):
        ready.acquire()
        time.sleep(SETTLE_SECONDS)
        sent.append(time.perf_counter())
        send()
        done.acquire()
    thread.join()
    return median([(came - went) * 1_000 for came, went in zip(got, sent, strict=True)])


class Hive:
    """Ours."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._sender, self._receiver = Line(self._sock(1)), Line(self._sock(0))
        self._held: list[int] = []

    def _sock(self, number: int) -> Path:
        return self._run / "agents" / f"agent-{number}" / "agent.sock"

    def empty(self) -> None:
        """Take the kick of each agent's start."""
        for agent in range(AGENTS):
            line = Line(self._sock(agent))
            mail = line.ask({"cmd": "recv", "wait_seconds": 0})["messages"]
            line.ask({"cmd": "ack", "ids": [message["id"] for message in mail]})

    def wake_ups(self) -> float:
        """Let one agent wait."""
        return wake_ups(self._send, self._receive, self._finish)

    def _send(self) -> None:
        self._sender.ask({"cmd": "send", "to": "agent-0", "body": BODY})

    def _receive(self) -> None:
        reply = self._receiver.ask({"cmd": "recv", "wait_seconds": 30})
        self._held = [message["id"] for message in reply["messages"]]

    def _finish(self) -> None:
        self._receiver.ask({"cmd": "ack", "ids": self._held})

    def flow(self) -> None:
        """Let fifty agents wait and fifty senders send."""

        async def ask(
            line: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: dict[str, Any]
        ) -> dict[str, Any]:
            reader, writer = line
            writer.write(wire.encode(request))
            return wire.decode(await reader.readline())

        async def send(number: int) -> None:
            line = await asyncio.open_unix_connection(self._sock((number + 1) % AGENTS))
            for _ in range(EACH):
                await ask(line, {"cmd": "send", "to": f"agent-{number}", "body": BODY})
            line[1].close()

        async def receive(number: int) -> None:
            line = await asyncio.open_unix_connection(self._sock(number))
            received = 0
            while received < EACH:
                mail = (await ask(line, {"cmd": "recv", "wait_seconds": 30}))["messages"]
                await ask(line, {"cmd": "ack", "ids": [message["id"] for message in mail]})
                received += len(mail)
            line[1].close()

        async def story() -> None:
            await asyncio.gather(*(task(number) for number in range(AGENTS) for task in (receive, send)))

        asyncio.run(story())


class Redis:
    """The peer."""

    def __init__(self, sock: Path) -> None:
        self._sock = str(sock)
        self._sender, self._receiver = (redis.Redis(unix_socket_path=self._sock) for _ in range(2))

    def answers(self) -> bool:
        """Whether it is there."""
        with contextlib.suppress(redis.ConnectionError):
            return bool(self._sender.ping())
        return False

    def wake_ups(self) -> float:
        """Let one client wait."""
        return wake_ups(
            lambda: self._sender.lpush("agent-0", BODY),
            lambda: self._receiver.blpop(["agent-0"], 30),
            lambda: None,
        )

    def flow(self) -> None:
        """Let fifty clients wait and fifty send."""

        async def send(number: int) -> None:
            async with redis.asyncio.Redis(unix_socket_path=self._sock, single_connection_client=True) as client:
                for _ in range(EACH):
                    await client.lpush(f"agent-{number}", BODY)

        async def receive(number: int) -> None:
            async with redis.asyncio.Redis(unix_socket_path=self._sock, single_connection_client=True) as client:
                for _ in range(EACH):
                    await client.blpop([f"agent-{number}"], 30)

        async def story() -> None:
            await asyncio.gather(*(task(number) for number in range(AGENTS) for task in (receive, send)))

        asyncio.run(story())


@contextlib.contextmanager
def hive(place: Path, program_name: str = "bench.sockets") -> Iterator[Hive]:
    """Run our sockets."""
    place.mkdir(exist_ok=True)
    argv = [sys.executable, "-m", program_name, str(place), str(AGENTS)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment()) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == b"open\n"
            ours = Hive(place / "r")
            ours.empty()
            yield ours
        finally:
            program.kill()


@contextlib.contextmanager
def peer(place: Path) -> Iterator[Redis]:
    """Run a redis-server that syncs before it answers."""
    sock = place / "redis.sock"
    settings = {"port": "0", "unixsocket": str(sock), "appendonly": "yes", "appendfsync": "always", "save": ""}
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    with subprocess.Popen(["redis-server", *options, "--dir", str(place)], stdout=subprocess.DEVNULL) as program:
        try:
            theirs = Redis(sock)
            until("redis answers", theirs.answers)
            yield theirs
        finally:
            program.terminate()


def main() -> None:
    """Measure and say."""
    if shutil.which("redis-server") is None:
        note("skipped: no redis-server; on Debian and Ubuntu: apt install redis-server")
        return
    with (
        scratch() as place,
        hive(place) as ours,
        peer(place) as theirs,
        hive(place / "l", "bench.least") as least,
    ):
        one = interleaved({"hyperhive": ours.wake_ups, "redis": theirs.wake_ups, "least": least.wake_ups})
        ratio_at_most("send → recv, 1 agent, p50", one, "hyperhive", "redis", 1.2, unit="ms")
        say_least(one, " ms")
        count = AGENTS * EACH
        candidates: dict[str, Hive | Redis] = {"hyperhive": ours, "redis": theirs, "least": least}
        many = interleaved({name: functools.partial(rate, count, each.flow) for name, each in candidates.items()})
        at_least(f"send → recv, {AGENTS} agents", many, "hyperhive", "redis", 3)
        say_least(many, "/s")


def say_least(found: Rounds, unit: str) -> None:
    """Say what the same facts cost where nothing is done about them, which a daemon in Python cannot be below."""
    cost = f"{number(median(found['least']))}{unit}, {ratio(found, 'least', 'redis'):.2f} times redis"
    ours = ratio(found, "hyperhive", "least")
    note(f"bare sqlite3 rows behind bare asyncio: {cost}; hyperhive is {ours:.2f} times that")
