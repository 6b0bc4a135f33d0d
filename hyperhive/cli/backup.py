"""``hyperhive backup`` and ``restore``: the database as one file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import click

from hyperhive.cli.confirm import confirm
from hyperhive.cli.options import EXISTING_FILE, examples, json_option, yes_option
from hyperhive.cli.places import directories, places
from hyperhive.cli.terminal import say, write, write_json


@click.command(epilog=examples('hyperhive backup "/mnt/backup/hive-$(date +%F).sqlite"'))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@places
def backup(*, file: Path, as_json: bool) -> None:
    """Copy the log and the views to a new file, also while the daemon runs; the copy is verified.

    What agents keep in their state directories is not in it.
    """
    from hyperhive.events.chain import ChainBroken  # noqa: PLC0415
    from hyperhive.events.damage import LogDamaged  # noqa: PLC0415
    from hyperhive.keeping.backup import backup  # noqa: PLC0415 - heavy imports after --help
    from hyperhive.projections.database import WrongRevision  # noqa: PLC0415

    path = directories().hive_db
    if not path.exists():
        raise click.ClickException(f"no hive in {path.parent}; begin one with: hyperhive serve")
    try:
        found = backup(path, file)
    except (ChainBroken, LogDamaged, WrongRevision, sqlite3.Error) as error:
        raise click.ClickException(f"{error}; no backup was made") from None
    if as_json:
        write_json({"file": str(file), "position": found.count, "head": found.head.hex()})
    else:
        write(f"{file}: {found.count} facts, head {found.head.hex()}")


@click.command(epilog=examples("hyperhive restore /mnt/backup/hive-2026-11-20.sqlite"))
@click.argument("file", type=EXISTING_FILE)
@yes_option
@json_option
@places
def restore(*, file: Path, yes: bool, as_json: bool) -> int:
    """Let the hive go on from a backup; it is verified before it replaces anything.

    The daemon and the agents must not run. The database that is there stays beside the new one, under another name.
    """
    from hyperhive.config import DirectoryError  # noqa: PLC0415
    from hyperhive.daemon.alone import AnotherDaemon  # noqa: PLC0415 - heavy imports after --help
    from hyperhive.events.chain import ChainBroken  # noqa: PLC0415
    from hyperhive.events.log import LogDamaged, LogFailed, LogFull  # noqa: PLC0415
    from hyperhive.keeping.backup import restore  # noqa: PLC0415
    from hyperhive.projections.database import WrongRevision  # noqa: PLC0415

    found = directories()
    if found.hive_db.exists():
        confirm(f"{found.data} holds a hive; let it go on from {file} instead?", yes=yes)
    try:
        done = restore(file, found)
    except AnotherDaemon as error:
        say(f"hyperhive: {error}")
        return 4
    except (ChainBroken, DirectoryError, LogDamaged, LogFailed, LogFull, WrongRevision, sqlite3.Error) as error:
        raise click.ClickException(f"{error}; nothing was replaced") from None
    if as_json:
        aside = None if done.aside is None else str(done.aside)
        write_json({"position": done.position, "head": done.head, "epoch": done.epoch, "aside": aside})
    else:
        write(f"{found.data} goes on from position {done.position}, head {done.head}, as epoch {done.epoch}")
    if done.aside is not None:
        say(f"what was there is kept as {done.aside}")
    return 0
