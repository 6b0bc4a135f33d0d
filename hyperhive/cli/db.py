"""``hyperhive db``: the database's revision."""

from __future__ import annotations

import click

from hyperhive.cli.options import examples, json_option
from hyperhive.cli.places import directories, places
from hyperhive.cli.terminal import say, write, write_json


@click.group(epilog=examples("hyperhive db current"))
def db() -> None:
    """Show or upgrade the database's revision."""


@db.command(epilog=examples("hyperhive db current --json"))
@json_option
@places
def current(*, as_json: bool) -> None:
    """Show the file's revision, and the one that this release writes."""
    from hyperhive.projections import database  # noqa: PLC0415 - heavy imports after --help

    path = directories().hive_db
    found = {"file": str(path), "revision": database.current_revision(path), "newest": database.head_revision()}
    if as_json:
        write_json(found)
    else:
        write(f"{found['revision'] or 'no database yet'} (newest: {found['newest']})  {path}")


@db.command(epilog=examples("hyperhive db upgrade"))
@places
def upgrade() -> int:
    """Bring the file to this release's revision; `serve` does it by itself. The daemon must not run."""
    import filelock  # noqa: PLC0415 - heavy imports after --help

    from hyperhive.projections import database  # noqa: PLC0415

    found = directories()
    found.create()
    try:
        with filelock.FileLock(found.lock_file, blocking=False):
            database.upgrade(found.hive_db)
    except filelock.Timeout:
        say(f"hyperhive: a daemon runs on {found.data}; stop it first")
        return 1
    except database.WrongRevision as error:
        say(f"hyperhive: {error}")
        return 1
    write(f"{database.current_revision(found.hive_db)}  {found.hive_db}")
    return 0
