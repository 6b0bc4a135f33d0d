"""``hyperhive start``, ``kill``, ``restart``, ``rebuild``: what is done to agents that there are."""

from __future__ import annotations

from collections.abc import Sequence

import click

from hyperhive.cli.options import AGENT, examples, wait_options
from hyperhive.cli.places import places

_NAMES = click.argument("names", metavar="NAME…", type=AGENT, nargs=-1, required=True)


@click.command(epilog=examples("hyperhive start coder reviewer", "hyperhive start coder --no-wait"))
@_NAMES
@wait_options
@places
def start(names: tuple[str, ...], wait: bool, timeout: float) -> None:  # noqa: FBT001 - a click flag
    """Start stopped agents."""
    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    client.call("start", scope={"agent_names": list(dict.fromkeys(names))})
    _finish("start", names, wait=wait, timeout=timeout)


@click.command(epilog=examples("hyperhive kill coder", "hyperhive kill coder reviewer --timeout 30"))
@_NAMES
@wait_options
@places
def kill(names: tuple[str, ...], wait: bool, timeout: float) -> None:  # noqa: FBT001 - a click flag
    """Stop agents; their notes and sessions stay.

    Each is asked to stop first, and killed when it does not.
    """
    _each("kill", names, wait=wait, timeout=timeout)


@click.command(epilog=examples("hyperhive restart coder"))
@_NAMES
@wait_options
@places
def restart(names: tuple[str, ...], wait: bool, timeout: float) -> None:  # noqa: FBT001 - a click flag
    """Stop agents and start them again.

    A stopped agent is just started. The session goes on where it was.
    """
    _each("restart", names, wait=wait, timeout=timeout)


@click.command(epilog=examples("hyperhive rebuild coder"))
@_NAMES
@wait_options
@places
def rebuild(names: tuple[str, ...], wait: bool, timeout: float) -> None:  # noqa: FBT001 - a click flag
    """Make the containers of agents anew and start them.

    Notes, credentials and sessions stay; what changed is the configuration or the base that they run on.
    """
    _each("rebuild", names, wait=wait, timeout=timeout)


def _each(verb: str, names: Sequence[str], *, wait: bool, timeout: float) -> None:
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    for name in dict.fromkeys(names):
        client.call(verb, name=name)
    _finish(verb, names, wait=wait, timeout=timeout)


def _finish(verb: str, names: Sequence[str], *, wait: bool, timeout: float) -> None:
    from hyperhive.cli import waiting  # noqa: PLC0415 - as above

    if wait:
        waiting.wait(verb, tuple(dict.fromkeys(names)), timeout)
