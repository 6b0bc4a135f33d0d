"""A program: the least that could stand in our place: lines over asyncio, and a bare sqlite3 row for each fact.

    python -m bench.least PLACE AGENTS

It neither checks nor decides, folds, chains or remembers anything. What it needs is what Python, its event loop, its
driver and the disk cost whoever writes as many durable facts as we do; nothing of it is ours.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.peers import Bare

Reply = tuple["Lines", dict[str, Any]]


class Least:
    """Everybody's inbox, and one commit for all that waits."""

    def __init__(self, path: Path) -> None:
        self._rows = Bare(path)
        self._count = 0
        self._facts: list[int] = []
        self._replies: list[Reply] = []
        self._mail: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self._waiting: dict[int, Lines] = {}

    def hear(self, line: Lines, request: dict[str, Any]) -> None:
        """Take a request; its answer goes once the facts are durable."""
        match request["cmd"]:
            case "send":
                to = int(request["to"].removeprefix("agent-"))
                self._count += 1
                self._mail[to].append({"id": self._count, "from": "agent", "body": request["body"]})
                self._write(to, line, {"ok": True, "message_id": self._count})
                if to in self._waiting:
                    self._hand_over(to, self._waiting.pop(to))
            case "ack":
                self._write(line.number, line, {"ok": True, "acked": request["ids"]})
            case "recv" if self._mail[line.number]:
                self._hand_over(line.number, line)
            case "recv" if request["wait_seconds"]:
                self._waiting[line.number] = line
            case _:
                line.write({"ok": True, "messages": []})

    def _hand_over(self, to: int, line: Lines) -> None:
        self._write(to, line, {"ok": True, "messages": self._mail.pop(to)})

    def _write(self, stream: int, line: Lines, reply: dict[str, Any]) -> None:
        if not self._facts:
            asyncio.get_running_loop().call_soon(self._flush)
        self._facts.append(stream)
        self._replies.append((line, reply))

    def _flush(self) -> None:
        self._rows.append(self._facts)
        replies, self._facts, self._replies = self._replies, [], []
        for line, reply in reversed(replies):  # who waits hears it before whoever wrote
            line.write(reply)


class Lines(asyncio.Protocol):
    """One client; whole lines come, and one at a time."""

    def __init__(self, least: Least, number: int) -> None:
        self.number = number
        self._least = least

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it in."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take a request."""
        self._least.hear(self, json.loads(data))

    def write(self, reply: dict[str, Any]) -> None:
        """Write a reply."""
        self._transport.write(json.dumps(reply).encode() + b"\n")


async def main(place: Path, count: int) -> None:
    """Open a socket for each agent, and wait."""
    least = Least(place / "least.sqlite")
    loop = asyncio.get_running_loop()
    for number in range(count):
        sock = place / "r" / "agents" / f"agent-{number}" / "agent.sock"
        sock.parent.mkdir(parents=True)
        await loop.create_unix_server(functools.partial(Lines, least, number), str(sock))
    print("open", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
