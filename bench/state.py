"""``GET /api/state`` with fifty agents: requests a second over kept connections, whatever the age of the log.

The peer is Starlette's JSONResponse of the very same view, made for each request, as Starlette's own documentation
writes such an endpoint; it is served by the same server, behind the same gate and key. An answer without any content
says what the server and the client themselves take.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bench import history
from bench.daemon import environment
from bench.figures import at_least, at_most, interleaved, median, note, number, rate, scratch
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.projections import database, views
from hyperhive.projections.history import History
from hyperhive.proposals.proposals import Proposals
from hyperhive.repositories.repositories import Repositories
from hyperhive.web import site as ours
from hyperhive.web.access import Who
from hyperhive.web.guard import Way
from hyperhive.web.listener import HttpServer, bind

REQUESTS = 4_000
CONNECTIONS = 4
MOST_BYTES = 1 << 20
"""Read at once."""
YOUNG, OLD = 1_000, 1_000_000
TOKEN = "a-token-for-measuring-with"  # noqa: S105 - of a hive that lives for a minute


class Client:
    """Asks over several kept connections at once: the server always has something to do, and is what is measured."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str) -> bytes:
        """Return one answer's body."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(self._request(path))
            return _answer(connection)

    def rate(self, path: str) -> float:
        """Return requests a second."""
        request = self._request(path)
        with contextlib.ExitStack() as stack:
            kept = [stack.enter_context(socket.create_connection(("127.0.0.1", self.port))) for _ in range(CONNECTIONS)]

            def work() -> None:
                for connection in kept:
                    connection.sendall(request)
                for _ in range(REQUESTS // CONNECTIONS - 1):
                    for connection in kept:
                        _answer(connection)
                        connection.sendall(request)
                for connection in kept:
                    _answer(connection)

            return rate(REQUESTS, work)

    def _request(self, path: str) -> bytes:
        lines = (f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Authorization: Bearer {TOKEN}", "", "")
        return "\r\n".join(lines).encode()


def _answer(connection: socket.socket) -> bytes:
    """Read one answer; return its body."""
    read = connection.recv(MOST_BYTES)
    while b"\r\n\r\n" not in read:
        read += connection.recv(MOST_BYTES)
    head, _, body = read.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(MOST_BYTES)
    return body


@contextlib.contextmanager
def serving(place: Path, count: int) -> Iterator[Client]:
    """Serve the site of a hive with so many facts."""
    place.mkdir()
    argv = [sys.executable, "-m", "bench.state", str(place), str(count)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment()) as program:
        try:
            assert program.stdout is not None
            yield Client(int(program.stdout.readline()))
        finally:
            program.kill()


def main() -> None:
    """Measure and say."""
    with scratch() as place, serving(place / "young", YOUNG) as young, serving(place / "old", OLD) as old:
        assert young.get("/api/state") == young.get("/peer")
        note(f"{len(young.get('/api/state')):,} bytes of JSON")
        found = interleaved(
            {
                "hyperhive": lambda: young.rate("/api/state"),
                "old": lambda: old.rate("/api/state"),
                "JSONResponse": lambda: young.rate("/peer"),
                "nothing": lambda: young.rate("/healthz"),
            }
        )
        at_least("GET /api/state, 50 agents", found, "hyperhive", "JSONResponse", 4)
        ratios = [median([mine / theirs for mine, theirs in zip(found["old"], found["hyperhive"], strict=True)])]
        at_most(f"its change from {YOUNG:,} to {OLD:,} events", abs(ratios[0] - 1) * 100, "%", 10)
        note(f"an answer without content: {number(median(found['nothing']))}/s")


async def serve(place: Path, count: int) -> None:
    """Make a past, and serve its present."""
    path = place / "hive.sqlite"
    history.write(path, count).close()
    log, hive = database.open_hive(path)
    dispatcher = Dispatcher(log, hive, clock=lambda: time.time_ns() // 1_000, on_failure=lambda _failure: None)
    listener = await bind("127.0.0.1", 0)
    port = listener.getsockname()[1]

    async def journal(*_given: object) -> str:
        return ""

    async def peer(_request: Request) -> Response:
        return JSONResponse(views.state(hive, {}))

    holds = ours.Site(
        dispatcher=dispatcher,
        history=History(path),
        proposals=Proposals(dispatcher, Repositories(place), History(path)),
        kept=dict,
        journal=journal,
        token=TOKEN,
        origins=frozenset({f"http://127.0.0.1:{port}"}),
    )
    app = ours.site(holds, Way(path="/peer", who=Who.VIEWER, answer=peer))
    await HttpServer(app, listener).open()
    print(port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
