"""Stands for a daemon that starts one container and is then killed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from hyperhive.runtimes.protocol import Spec
from tests.runtimes.home import build, started


async def main(factory: str, run_dir: str, hive: str, wire: str) -> None:
    """Start the container, say so, and never end."""
    raw = json.loads(wire)
    spec = Spec(
        name=raw["name"],
        state=Path(raw["state"]),
        socket_dir=Path(raw["socket_dir"]),
        log=Path(raw["log"]),
        generation=raw["generation"],
    )
    await started(build(factory, run_dir=Path(run_dir), hive=hive), spec)
    print("started", flush=True)  # noqa: T201 - the test waits for it
    signal.pause()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
