"""The live stream to two hundred readers: how soon each has an event, and how many a second go out.

The peer is sse-starlette on the same uvicorn: one queue for each reader, each event put into all of them, as its own
example of broadcasting does. Ours reads events from the hive's log (the writer's commit is measured with it); theirs
gets the same bytes from memory. Both are programs of their own, read by one client process over loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from bench.daemon import environment
from bench.figures import at_least, at_most, interleaved, note, number, scratch

STREAMS = 200
PACED = 100
"""Events one after the other, for how soon they come."""
BURST = 500
"""Events as fast as they can be written, for how many go out."""
GAP_SECONDS = 0.02
TOKEN = "a-token-for-measuring-with"  # noqa: S105 - of a hive that lives for a minute

_ID = b"\nid: "

T = TypeVar("T")


class Reader(asyncio.Protocol):
    """One open stream; ``came`` holds when each event came. No more than that: what it costs is not to be measured."""

    def __init__(self, port: int) -> None:
        self.came: list[float] = []
        self._port = port
        self._tail = b""
        self._more = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, asyncio.Transport)
        lines = ("GET /events HTTP/1.1", f"Host: 127.0.0.1:{self._port}", f"Authorization: Bearer {TOKEN}", "", "")
        transport.write("\r\n".join(lines).encode())

    def data_received(self, data: bytes) -> None:
        """Note the time of each event."""
        now = time.perf_counter()
        read = self._tail + data
        if count := read.count(_ID):
            self.came += [now] * count
            self._more.set()
        self._tail = read[1 - len(_ID) :]

    async def until(self, count: int) -> None:
        """Wait until so many have come."""
        while len(self.came) < count:
            self._more.clear()
            await self._more.wait()


class Server:
    """A program that serves streams; a byte on its stdin makes it write an event, a B a burst."""

    def __init__(self, program: subprocess.Popen[bytes], port: int) -> None:
        self._program = program
        self.port = port

    def tell(self, what: bytes) -> None:
        """Let it write."""
        assert self._program.stdin is not None
        self._program.stdin.write(what)
        self._program.stdin.flush()

    def latencies(self) -> list[float]:
        """Return the milliseconds from the wish for an event until each reader had it."""

        async def story(readers: list[Reader]) -> list[float]:
            found = []
            for count in range(1, PACED + 1):
                begun = time.perf_counter()
                self.tell(b"1")
                await asyncio.gather(*(reader.until(count) for reader in readers))
                found += [(reader.came[count - 1] - begun) * 1_000 for reader in readers]
                await asyncio.sleep(GAP_SECONDS)
            return found

        return asyncio.run(self._with_readers(story))

    def burst(self) -> float:
        """Return deliveries a second."""

        async def story(readers: list[Reader]) -> float:
            begun = time.perf_counter()
            self.tell(b"B")
            await asyncio.gather(*(reader.until(BURST) for reader in readers))
            return STREAMS * BURST / (max(reader.came[BURST - 1] for reader in readers) - begun)

        return asyncio.run(self._with_readers(story))

    async def _with_readers(self, story: Callable[[list[Reader]], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        opened = [
            await loop.create_connection(lambda: Reader(self.port), "127.0.0.1", self.port) for _ in range(STREAMS)
        ]
        await asyncio.to_thread(self._wait_for_readers)
        try:
            return await story([reader for _, reader in opened])
        finally:
            for transport, _ in opened:
                transport.close()
            await asyncio.to_thread(self._wait_for_nobody)

    def _wait_for_readers(self) -> None:
        self._wait_for(STREAMS)

    def _wait_for_nobody(self) -> None:
        self._wait_for(0)

    def _wait_for(self, count: int) -> None:
        assert self._program.stdout is not None
        while True:
            self.tell(b"?")
            if int(self._program.stdout.readline()) == count:
                return
            time.sleep(0.01)


@contextlib.contextmanager
def serving(name: str, place: Path) -> Iterator[Server]:
    """Run one of `bench.streams`."""
    argv = [sys.executable, "-m", "bench.streams", name, str(place), str(BURST)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as program:
        try:
            assert program.stdout is not None
            yield Server(program, int(program.stdout.readline()))
        finally:
            program.kill()


def main() -> None:
    """Measure and say."""
    with scratch() as place, serving("hyperhive", place) as ours, serving("sse-starlette", place) as theirs:
        soon = {"hyperhive": ours.latencies(), "sse-starlette": theirs.latencies()}
        mine = sorted(soon["hyperhive"])
        at_most(f"an event to {STREAMS} streams, p99", mine[int(len(mine) * 0.99)], "ms", 50)
        note(f"p50 {number(statistics.median(mine))} ms; peer {number(statistics.median(soon['sse-starlette']))} ms")
        many = interleaved({"hyperhive": ours.burst, "sse-starlette": theirs.burst})
        at_least(f"deliveries to {STREAMS} streams, bursts of {BURST}", many, "hyperhive", "sse-starlette", 1.5)
