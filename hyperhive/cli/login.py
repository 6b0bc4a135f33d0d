"""``hyperhive login``: Claude's own login, inside the agent's sandbox, on the operator's terminal."""

from __future__ import annotations

import sys

import click

from hyperhive.cli.options import AGENT, examples
from hyperhive.cli.places import places


class CannotRun(Exception):  # noqa: N818 - an outcome people meet
    """The daemon named no program for the login."""

    code = "failed"


@click.command(epilog=examples("hyperhive login coder"))
@click.argument("name", type=AGENT)
@places
def login(name: str) -> int:
    """Log an agent in to Claude, on this terminal.

    The credentials stay in that agent's own state directory. For one login for the whole hive see
    claude.credentials_file in hyperhive config --explain.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(
            "login talks with you and needs a terminal; for a hive without one, name a file in claude.credentials_file"
        )
    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    argv = client.call("login", name=name).get("argv")
    if not isinstance(argv, list) or not argv or not all(isinstance(part, str) and "\0" not in part for part in argv):
        raise CannotRun("the daemon named no command for the login; use daemon and CLI from one release")
    from hyperhive.runtimes.terminal import attach  # noqa: PLC0415 - as above

    return attach(argv)
