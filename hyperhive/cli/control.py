"""``hyperhive pause``, ``resume``, ``interrupt``, ``freeze``, ``thaw``, ``lift``: who may take a turn, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from hyperhive.cli.options import AGENT, examples
from hyperhive.cli.places import places
from hyperhive.cli.terminal import say

_NAMES = click.argument("names", metavar="NAME…", type=AGENT, nargs=-1, required=True)


@click.command(epilog=examples("hyperhive pause coder", "hyperhive pause coder reviewer"))
@_NAMES
@places
def pause(names: tuple[str, ...]) -> None:
    """Let agents take no further turn; their mail waits.

    A turn that runs is not cut short (interrupt does that). A stopped agent is paused when it starts, and what is
    paused stays so over every restart.
    """
    _each("set_paused", names, "is paused; its mail waits", paused=True)


@click.command(epilog=examples("hyperhive resume coder"))
@_NAMES
@places
def resume(names: tuple[str, ...]) -> None:
    """Let paused agents go on with their mail."""
    _each("set_paused", names, "goes on", paused=False)


@click.command(epilog=examples("hyperhive interrupt coder", "hyperhive pause coder && hyperhive interrupt coder"))
@_NAMES
@places
def interrupt(names: tuple[str, ...]) -> None:
    """End the running turns of agents now.

    The mail of an interrupted turn counts as read; more mail begins another turn, unless the agent is paused first.
    """
    _each("interrupt", names, "ends its turn, if one runs")


@click.command(epilog=examples("hyperhive lift coder"))
@_NAMES
@places
def lift(names: tuple[str, ...]) -> None:
    """Let quarantined agents be started again.

    An agent that crashes again and again is quarantined; until this, only you can start it.
    """
    _each("lift", names, "may be started again")


@click.command(epilog=examples("hyperhive freeze"))
@places
def freeze() -> None:
    """Stop every agent's thinking at once: running turns are interrupted, none begins."""
    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    client.call("freeze")
    say("the hive is frozen; let it go on with: hyperhive thaw")


@click.command(epilog=examples("hyperhive thaw"))
@places
def thaw() -> None:
    """Let a frozen hive go on; who was paused stays so."""
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    client.call("thaw")
    say("the hive goes on")


def _each(verb: str, names: Sequence[str], done: str, **fields: Any) -> None:
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    for name in dict.fromkeys(names):
        client.call(verb, name=name, **fields)
        say(f"{name} {done}")
