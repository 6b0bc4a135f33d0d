"""``hyperhive tombstones``, ``revive``, ``purge``: what destroyed agents kept."""

from __future__ import annotations

from typing import Any

import click

from hyperhive.cli.confirm import confirm_by_name
from hyperhive.cli.options import TOMBSTONE, examples, json_option, wait_options, yes_option
from hyperhive.cli.places import places
from hyperhive.cli.terminal import say, when, write_json, write_table

_COLUMNS = ("NAME", "SIZE", "MODIFIED", "LOGIN", "DESTROYED", "ERROR")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_UNKNOWN = "…"


@click.command(epilog=examples("hyperhive tombstones", "hyperhive tombstones --json | jq -r '.[].name'"))
@json_option
@places
def tombstones(as_json: bool) -> None:  # noqa: FBT001 - a click flag
    """List destroyed agents, and what each one kept.

    SIZE is what a purge frees, LOGIN whether credentials for Claude are among it. What is shown as … is being looked
    for: ask again.
    """
    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    rows = client.call("tombstones")["tombstones"]
    if as_json:
        write_json(rows)
    elif rows:
        write_table(_COLUMNS, [_cells(row) for row in rows])
    else:
        say("no tombstones; destroy leaves one, unless it purges")


@click.command(epilog=examples("hyperhive revive coder"))
@click.argument("name", type=TOMBSTONE)
@wait_options
@places
def revive(name: str, wait: bool, timeout: float) -> None:  # noqa: FBT001 - a click flag
    """Make an agent again of what a destroyed one kept.

    Its notes, its login and its configuration are there as it left them. It is spawn for a name that was destroyed, and
    for no other; you are who approves a spawn, so nothing waits.
    """
    from hyperhive.cli import client, waiting  # noqa: PLC0415 - as above

    client.call("revive", name=name)
    if wait:
        waiting.wait("spawn", [name], timeout)


@click.command(epilog=examples("hyperhive purge coder", "hyperhive purge coder --yes"))
@click.argument("name", type=TOMBSTONE)
@yes_option
@wait_options
@places
def purge(name: str, yes: bool, wait: bool, timeout: float) -> None:  # noqa: FBT001 - click flags
    """Wipe what a destroyed agent kept; there is no undo.

    An agent that has a container is not touched: destroy it first.
    """
    confirm_by_name(f"This wipes the notes, credentials and configuration of {name}; there is no undo.", name, yes=yes)

    from hyperhive.cli import client, waiting  # noqa: PLC0415 - as above

    client.call("purge_tombstone", name=name)
    if wait:
        waiting.wait("purge", [name], timeout)


def size(count: int) -> str:
    """Write a number of bytes for people, in binary units."""
    number, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if number < 1024 or unit == _UNITS[-1]:
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == _UNITS[0] or number >= 10 else f"{number:.1f} {unit}"


def _cells(row: dict[str, Any]) -> list[str]:
    known = row["size_bytes"] is not None
    counted = ("" if row["size_whole"] else "over ") + size(row["size_bytes"]) if known else _UNKNOWN
    modified = when(row["modified_at"]) if row["modified_at"] else "" if known else _UNKNOWN
    login = ("kept" if row["credentials"] else "none") if known else _UNKNOWN
    return [row["name"], counted, modified, login, when(row["since"]), row["error"] or ""]
