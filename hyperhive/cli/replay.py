"""``hyperhive replay``: prove that the present follows from the past."""

from __future__ import annotations

import click

from hyperhive.cli.options import examples, json_option
from hyperhive.cli.places import directories, places
from hyperhive.cli.terminal import say, write, write_json


@click.group(epilog=examples("hyperhive replay verify"))
def replay() -> None:
    """Prove that the present follows from the past."""


@replay.command(epilog=examples("hyperhive replay verify", "hyperhive replay verify --json"))
@json_option
@places
def verify(*, as_json: bool) -> int:
    """Fold the whole log anew and compare every view with its table, row by row."""
    import sqlite3  # noqa: PLC0415 - heavy imports after --help

    from hyperhive.events.log import LogDamaged  # noqa: PLC0415
    from hyperhive.projections.database import WrongRevision  # noqa: PLC0415
    from hyperhive.replay.verify import Disagreement, verify  # noqa: PLC0415

    path = directories().hive_db
    if not path.exists():
        raise click.ClickException(f"no hive in {path.parent}; begin one with: hyperhive serve")
    try:
        agreed = verify(path)
    except (Disagreement, LogDamaged, WrongRevision, sqlite3.DatabaseError) as error:
        if as_json:
            write_json({"ok": False, "error": str(error)})
        say(f"hyperhive: {error}")
        return 1
    if as_json:
        write_json({"ok": True, "position": agreed.position, "rows": agreed.rows})
    else:
        rows = ", ".join(f"{count} {name}" for name, count in agreed.rows.items())
        write(f"fold and tables agree at position {agreed.position}: {rows}")
    return 0
