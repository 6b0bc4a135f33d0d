"""Serve one scenario from the command line: python -m hyperhive.rehearsal FILE [--port N]."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from hyperhive.rehearsal.answers import Unmatched
from hyperhive.rehearsal.scenario import ScenarioError, load_scenario
from hyperhive.rehearsal.server import serve_rehearsal


def main() -> int:
    """Serve until SIGINT or SIGTERM; the URL goes to stdout, what no rule fitted to stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m hyperhive.rehearsal",
        description="Answer the Messages API from a scenario file, on loopback. An agent speaks with the API key "
        "rehearsal-<agent>: ANTHROPIC_BASE_URL=<the URL printed> ANTHROPIC_API_KEY=rehearsal-coder claude -p hello",
    )
    parser.add_argument("file", metavar="FILE", help="a scenario in TOML")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="a TCP port (default: any that is free)")
    given = parser.parse_args()
    try:
        asyncio.run(_serve(given.file, given.host, given.port))
    except (ScenarioError, ValueError, OSError, OverflowError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command line program
        return 1
    return 0


async def _serve(file: str, host: str, port: int) -> None:
    rehearsal = await serve_rehearsal(load_scenario(file), host, port, on_unmatched=_tell)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    print(rehearsal.url, flush=True)  # noqa: T201
    await ended.wait()
    await rehearsal.aclose()


def _tell(unmatched: Unmatched) -> None:
    print(unmatched.explanation, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
