"""``hyperhive spawn``: make an agent."""

from __future__ import annotations

import click

from hyperhive.cli.options import AGENT, examples, wait_options
from hyperhive.cli.places import places


@click.command(epilog=examples("hyperhive spawn coder", 'hyperhive spawn coder && hyperhive send coder "say hello"'))
@click.argument("name", type=AGENT)
@wait_options
@places
def spawn(name: str, wait: bool, timeout: float) -> None:  # noqa: FBT001 - a click flag
    """Make a new agent, or revive one whose notes were kept.

    A name is 1 to 60 of a-z, 0-9 and -.
    """
    from hyperhive.cli import client, waiting  # noqa: PLC0415 - 60 ms that --help should not pay

    client.call("spawn", name=name)
    if wait:
        waiting.wait("spawn", [name], timeout)
