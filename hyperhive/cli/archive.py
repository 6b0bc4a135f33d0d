"""``hyperhive log archive``: the old part of the log into compressed files."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import click

from hyperhive.cli.moments import MOMENT, position_before
from hyperhive.cli.options import examples, json_option
from hyperhive.cli.places import directories, places
from hyperhive.cli.terminal import say, write, write_json

_SEGMENT_SECONDS = 120.0
"""For one segment, of which the daemon writes one for each request."""


@click.command(
    epilog=examples(
        "hyperhive log archive --before 90d",
        "hyperhive log archive --before 2026-09-01T00:00:00Z",
        "hyperhive log archive --before 120000 --json",
    )
)
@click.option(
    "--before", required=True, type=MOMENT, metavar="WHEN", help="An age (90d), a time as for replay, or a position."
)
@json_option
@places
def archive(*, before: tuple[str, int], as_json: bool) -> int:
    """Move what happened before a moment into compressed files beside the log; nothing is lost.

    Each file is read back and its chain proven before the facts leave the database. Everything that reads the log reads
    them as before. While the daemon runs, the room in the database is kept for what comes; without it, it is given
    back.
    """
    from hyperhive.daemon.alone import AnotherDaemon  # noqa: PLC0415 - heavy imports after --help
    from hyperhive.events.chain import ChainBroken  # noqa: PLC0415
    from hyperhive.events.log import LogDamaged, LogFailed, LogFull, read_only  # noqa: PLC0415
    from hyperhive.projections.database import WrongRevision, check_current  # noqa: PLC0415

    path = directories().hive_db
    if not path.exists():
        raise click.ClickException(f"no hive in {path.parent}; begin one with: hyperhive serve")
    done: list[dict[str, Any]] = []
    try:
        check_current(path)
        with contextlib.closing(read_only(path)) as connection:
            until = position_before(connection, before)
        for segment in _segments(until):
            done.append(segment)
            if not as_json:
                write(f"{segment['first']} to {segment['last']}: segments/{segment['file']}, {segment['bytes']} bytes")
    except AnotherDaemon as error:
        say(f"hyperhive: {error}")
        return 4
    except (ChainBroken, LogDamaged, LogFailed, LogFull, WrongRevision, sqlite3.Error) as error:
        so_far = f"; up to {done[-1]['last']} it is archived" if done else "; nothing was archived"
        raise click.ClickException(f"{error}{so_far}") from None
    if as_json:
        write_json(done)
    elif not done:
        say("there is nothing before that to archive (the newest fact always stays in the log)")
    return 0


def _segments(until: int) -> Iterator[dict[str, Any]]:
    """Let the daemon write one segment after the other; without one, write them here."""
    from hyperhive.cli import client  # noqa: PLC0415 - heavy imports after --help
    from hyperhive.keeping.archiving import archive as archive_here  # noqa: PLC0415

    found = directories()
    try:
        while until > 0:
            request = {"cmd": "archive", "until": until}
            segment = client.ask(found.host_sock, request, seconds=_SEGMENT_SECONDS)["segment"]
            if segment is None:
                return
            yield segment
    except client.NotRunning:
        for kept in archive_here(found, until):
            yield {"first": kept.first, "last": kept.last, "file": kept.file, "bytes": kept.size}
