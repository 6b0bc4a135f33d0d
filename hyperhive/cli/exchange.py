"""``hyperhive log export`` and ``import``: the log as JSON Lines."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

import click

from hyperhive.cli.moments import MOMENT, position_before, position_until
from hyperhive.cli.options import examples, json_option
from hyperhive.cli.places import directories, places
from hyperhive.cli.terminal import say, write, write_json


@click.command(
    epilog=examples(
        "hyperhive log export --output hive.jsonl",
        "hyperhive log export --from 1200 --to 1300 --redact > incident.jsonl",
        "hyperhive log export --from 2026-11-20T18:00:00Z --to 12h",
    )
)
@click.option("--from", "begin", type=MOMENT, metavar="WHEN", help="Begin with this position, or at this time.")
@click.option("--to", "end", type=MOMENT, metavar="WHEN", help="End with this position, or at this time (else: now).")
@click.option("--redact", "redacted", is_flag=True, help="Leave out what people and agents said.")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="A new file (0600)."
)
@places
def export(*, begin: tuple[str, int] | None, end: tuple[str, int] | None, redacted: bool, output: Path | None) -> None:
    """Write the log as JSON Lines, to stdout or a new file; also while the daemon runs.

    WHEN is a position, a time as for replay or an age (90d, 12h). The last line says how much there was, so that
    nothing can be missing unseen.
    """
    from hyperhive._version import version  # noqa: PLC0415 - heavy imports after --help
    from hyperhive.events.anchor import BadAnchor  # noqa: PLC0415
    from hyperhive.events.chain import ChainBroken  # noqa: PLC0415
    from hyperhive.events.damage import LogDamaged  # noqa: PLC0415
    from hyperhive.events.exchange import export  # noqa: PLC0415
    from hyperhive.events.log import read_only  # noqa: PLC0415
    from hyperhive.events.redaction import redact  # noqa: PLC0415
    from hyperhive.projections.database import WrongRevision, check_current  # noqa: PLC0415

    path = directories().hive_db
    if not path.exists():
        raise click.ClickException(f"no hive in {path.parent}; begin one with: hyperhive serve")
    try:
        check_current(path)
        with contextlib.closing(read_only(path)) as connection:
            first = 1 if begin is None else position_before(connection, begin) + 1
            last = None if end is None else position_until(connection, end)
        change = redact if redacted else None
        with new_file(output) as opened:
            footer = export(path, opened.write, release=version(), first=first, last=last, change=change)
    except (BadAnchor, ChainBroken, LogDamaged, WrongRevision, sqlite3.DatabaseError) as error:
        raise click.ClickException(str(error)) from None
    if output is not None:
        say(f"{footer.count} facts in {output}, head {footer.head}")


@contextlib.contextmanager
def new_file(file: Path | None) -> Iterator[IO[bytes]]:
    """Give stdout, or a file that is there only once it is whole."""
    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if file.exists():
        raise click.ClickException(f"{file} is there already; name a new file")
    unfinished = file.with_name(f".{file.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        with unfinished.open("wb") as opened:
            yield opened
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


@click.command(
    "import",
    epilog=examples("hyperhive log import hive.jsonl --data-dir /srv/hive", "hyperhive log import - < hive.jsonl"),
)
@click.argument("file", type=click.File("rb"))
@json_option
@places
def import_(*, file: BinaryIO, as_json: bool) -> int:
    """Make a hive of an exported log, in an empty data directory; the whole file is checked, or nothing is done.

    The daemon must not run.
    """
    from hyperhive.config import DirectoryError  # noqa: PLC0415
    from hyperhive.daemon.alone import AnotherDaemon  # noqa: PLC0415 - heavy imports after --help
    from hyperhive.events.log import LogDamaged, LogFailed, LogFull  # noqa: PLC0415
    from hyperhive.keeping.importing import import_log  # noqa: PLC0415
    from hyperhive.projections.database import WrongRevision  # noqa: PLC0415

    found = directories()
    try:
        done = import_log(file, found)
    except AnotherDaemon as error:
        say(f"hyperhive: {error}")
        return 4
    except (DirectoryError, LogDamaged, LogFailed, LogFull, WrongRevision, sqlite3.Error) as error:
        raise click.ClickException(f"{error}; nothing was imported") from None
    if as_json:
        write_json({"count": done.count, "head": done.head, "redacted": done.redacted, "data": str(found.data)})
    else:
        write(f"imported {done.count} facts into {found.data}, head {done.head}")
    if done.redacted:
        say("it is a redacted log: its chain is its own, and what was said is left out")
    return 0
