"""A hundred open dashboards: what they cost the daemon while nothing happens, and while the hive is at work.

Each page is what the client's scripts do: one live stream, a refresh of the whole page without traffic every 5 s, and
the touched sections fetched together once for what happens within 60 ms. The cost is the daemon's processor time.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import psutil

from bench.daemon import Daemon, daemon, until
from bench.figures import note, number, scratch

PAGES = 100
AGENTS = 9
IDLE_SECONDS = 10.0
EVENTS = 100
GAP_SECONDS = 0.1
TOGETHER_SECONDS = 0.06
QUIET_SECONDS = 5.0


class Page:
    """One page, without a browser."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._etags: dict[str, str] = {}
        self._touched: set[str] = set()
        self._changed = asyncio.Event()
        self.fetched = 0
        self.seen = 0

    async def run(self) -> None:
        """Follow and fetch until cancelled."""
        await asyncio.gather(self._follow(), self._refresh())

    async def _ask(self, path: str, *headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._write(writer, path, *headers)
        return reader, writer

    def _write(self, writer: asyncio.StreamWriter, path: str, *headers: str) -> None:
        own = (f"Host: 127.0.0.1:{self._port}", f"Authorization: Bearer {self._token}", "Accept-Encoding: gzip")
        writer.write("\r\n".join((f"GET {path} HTTP/1.1", *own, *headers, "", "")).encode())

    async def _follow(self) -> None:
        reader, writer = await self._ask("/events")
        try:
            while line := await reader.readline():
                if line.startswith(b"data: ") and b"touches" in line:
                    told = json.loads(line[6:])
                    self.seen = told["position"]
                    self._touched.update(told["touches"])
                    self._changed.set()
        finally:
            writer.close()

    async def _refresh(self) -> None:
        reader, writer = await self._ask("/page/dashboard")
        await self._read(reader, "/page/dashboard")
        try:
            while True:
                path = "/page/dashboard"
                try:
                    await asyncio.wait_for(self._changed.wait(), QUIET_SECONDS)
                    await asyncio.sleep(TOGETHER_SECONDS)
                    path += f"?only={','.join(sorted(self._touched))}"
                except TimeoutError:
                    pass
                self._touched.clear()
                self._changed.clear()
                known = self._etags.get(path)
                self._write(writer, path, *([] if known is None else [f"If-None-Match: {known}"]))
                await self._read(reader, path)
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, path: str) -> None:
        length = 0
        while (line := await reader.readline()).strip():
            name, _, value = line.decode().partition(":")
            if name.lower() == "etag":
                self._etags[path] = value.strip()
            elif name.lower() == "content-length":
                length = int(value)
        await reader.readexactly(length)
        self.fetched += 1


def main() -> None:
    """Measure and say."""
    with scratch() as place, daemon(place) as running:
        for name in ("coder", *(f"agent-{number_}" for number_ in range(AGENTS))):
            running.ask("spawn", name=name)
            running.ask("set_paused", name=name, paused=True)
        until("all run", lambda: all(row["running"] for row in running.ask("agent_status")["agent_statuses"]))
        asyncio.run(_measure(running))


async def _measure(running: Daemon) -> None:
    port = int(running.ask("urls")["urls"]["home"].rpartition(":")[2].rstrip("/"))
    token = (Path(running.data) / "token").read_text().strip()
    process = psutil.Process(running.process.pid)
    alone = process.memory_info().rss / 1_048_576
    pages = [Page(port, token) for _ in range(PAGES)]
    tasks = [asyncio.create_task(page.run()) for page in pages]
    while not all(page.fetched for page in pages):  # noqa: ASYNC110 - a hundred pages have no event together
        await asyncio.sleep(0.05)
    before = _used(process)
    await asyncio.sleep(IDLE_SECONDS)
    idle = (_used(process) - before) / IDLE_SECONDS
    note(f"{PAGES} open pages, nothing happens: {number(idle * 100)} % of a processor")
    before, begun, fetched = _used(process), time.perf_counter(), sum(page.fetched for page in pages)
    last = 0
    for _ in range(EVENTS):
        last = (await asyncio.to_thread(running.ask, "send", name="coder", body="go on"))["message_id"]
        await asyncio.sleep(GAP_SECONDS)
    while not all(page.seen >= last for page in pages):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.02)
    took = time.perf_counter() - begun
    busy = (_used(process) - before) / took
    fetches = (sum(page.fetched for page in pages) - fetched) / took
    memory = process.memory_info().rss / 1_048_576
    note(f"{PAGES} open pages, {number(EVENTS / took)} events/s: {number(busy * 100)} % of a processor")
    note(f"they fetch {number(fetches)} times a second")
    note(f"the daemon has {number(memory)} MiB with them, {number(alone)} without")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
