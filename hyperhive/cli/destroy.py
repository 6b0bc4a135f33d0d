"""``hyperhive destroy``: remove an agent, and with ``--purge`` all that it kept."""

from __future__ import annotations

import click

from hyperhive.cli.confirm import confirm, confirm_by_name
from hyperhive.cli.options import AGENT, examples, wait_options, yes_option
from hyperhive.cli.places import places


@click.command(epilog=examples("hyperhive destroy coder", "hyperhive destroy coder --purge --yes"))
@click.argument("name", type=AGENT)
@click.option("--purge", is_flag=True, help="Also wipe its notes, credentials and configuration; there is no undo.")
@yes_option
@wait_options
@places
def destroy(name: str, purge: bool, yes: bool, wait: bool, timeout: float) -> None:  # noqa: FBT001 - click flags
    """Remove an agent; what it kept stays unless purged.

    A later spawn of the same name finds its notes and its login again.
    """
    if purge:
        confirm_by_name(
            f"This removes {name} with its notes, credentials and configuration; there is no undo.", name, yes=yes
        )
    else:
        confirm(f"Remove {name}? Its notes, credentials and configuration stay.", yes=yes)

    from hyperhive.cli import client, waiting  # noqa: PLC0415 - 60 ms that --help should not pay

    client.call("destroy", name=name, purge=purge)
    if wait:
        waiting.wait("destroy", [name], timeout)
