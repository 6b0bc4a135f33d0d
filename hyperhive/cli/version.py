"""``hyperhive version``."""

from __future__ import annotations

import platform

import click

from hyperhive._version import version as installed
from hyperhive.cli.options import examples, json_option
from hyperhive.cli.places import places
from hyperhive.cli.terminal import write, write_json


@click.command(epilog=examples("hyperhive version", "hyperhive version --json"))
@json_option
@places
def version(as_json: bool) -> None:  # noqa: FBT001 - a click flag
    """Show the version."""
    if as_json:
        write_json({"hyperhive": installed(), "python": platform.python_version()})
    else:
        write(f"hyperhive {installed()} (Python {platform.python_version()})")
