"""``hyperhive move``: let an agent live in another runtime."""

from __future__ import annotations

import click

from hyperhive.cli.options import AGENT, examples, wait_options
from hyperhive.cli.places import directories, places
from hyperhive.cli.terminal import say

_TRIAL_SECONDS = 120.0
"""A runtime that is asked for the first time is tried, and may have to build an image for that."""


@click.command(epilog=examples("hyperhive move coder --runtime podman", "hyperhive move coder --runtime bubblewrap"))
@click.argument("name", type=AGENT)
@click.option("--runtime", required=True, metavar="RUNTIME", help="Where it is to live; hyperhive doctor lists them.")
@wait_options
@places
def move(name: str, runtime: str, wait: bool, timeout: float) -> None:  # noqa: FBT001 - a click flag
    """Let an agent live in another runtime; its state stays.

    A running agent is stopped, and started there; a stopped one starts there when it is next started. The choice holds
    until the next move, over restarts of agent and daemon.
    """
    from hyperhive.cli import client, waiting  # noqa: PLC0415 - 60 ms that --help should not pay

    request = {"cmd": "move", "name": name, "runtime": runtime}
    reply = client.ask(directories().host_sock, request, seconds=_TRIAL_SECONDS)
    if not reply.get("rebuilding"):
        say(f"{name} lives in {runtime}" + ("" if reply.get("running") else " from its next start on"))
    elif wait:
        waiting.wait("move", [name], timeout)
