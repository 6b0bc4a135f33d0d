"""``hyperhive operator``: the people who have a key of their own."""

from __future__ import annotations

import click

from hyperhive.cli.confirm import confirm
from hyperhive.cli.options import examples, json_option, yes_option
from hyperhive.cli.places import places
from hyperhive.cli.terminal import say, when, write, write_json, write_table


@click.group(
    epilog=examples(
        "hyperhive operator add ann                  may do all that you may",
        "hyperhive operator add bob --role viewer    may look, and do nothing",
        "hyperhive operator list",
        "hyperhive operator remove bob",
    )
)
def operator() -> None:
    """Let people in by name; what they do stands in the log as theirs."""


@operator.command(epilog=examples("hyperhive operator add ann", "hyperhive operator add bob --role viewer"))
@click.argument("name")
@click.option("--role", type=click.Choice(["operator", "viewer"]), default="operator", show_default=True)
@json_option
@places
def add(name: str, role: str, as_json: bool) -> None:  # noqa: FBT001 - a click flag
    """Give somebody a key.

    The link that logs in is shown once: the hive keeps a hash of the key. Who loses it is removed and added again.
    """
    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    link = client.call("operator_add", name=name, role=role)["link"]
    if as_json:
        write_json({"name": name, "role": role, "link": link})
        return
    write(link)
    say(f"give {name} this link, by a way that nobody else reads; it is shown this once")


@operator.command(name="list", epilog=examples("hyperhive operator list --json"))
@json_option
@places
def list_(as_json: bool) -> None:  # noqa: FBT001 - a click flag
    """List who has a key."""
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    rows = client.call("operators")["operators"]
    if as_json:
        write_json(rows)
    elif rows:
        cells = [[row["name"], row["role"], when(row["added_at"]), row["added_by"]] for row in rows]
        write_table(("NAME", "ROLE", "ADDED", "BY"), cells)
    else:
        say("nobody but you has a key; hyperhive operator add NAME gives one")


@operator.command(epilog=examples("hyperhive operator remove bob", "hyperhive operator remove bob --yes"))
@click.argument("name")
@yes_option
@places
def remove(name: str, yes: bool) -> None:  # noqa: FBT001 - a click flag
    """Let somebody's key open nothing any more; their open pages are locked at once."""
    confirm(f"Remove {name}? Their key and their open pages end.", yes=yes)

    from hyperhive.cli import client  # noqa: PLC0415 - as above

    client.call("operator_remove", name=name)
