"""``hyperhive log``: read the log, and prove that nobody rewrote it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hyperhive.cli.archive import archive
from hyperhive.cli.exchange import export, import_
from hyperhive.cli.options import EXISTING_FILE, examples, json_option
from hyperhive.cli.places import directories, places
from hyperhive.cli.terminal import safe, say, when, write, write_json

_SHOWN_CHARACTERS = 100


@click.group(epilog=examples("hyperhive log show --limit 20", "hyperhive log verify"))
def log() -> None:
    """Read the log, and prove that nobody rewrote it."""


log.add_command(export)
log.add_command(import_)
log.add_command(archive)


@log.command(
    epilog=examples(
        "hyperhive log show",
        "hyperhive log show --stream agent-coder --follow",
        "hyperhive log show --stream 'inbox-*' --type MessageSent --after 1200 --json",
    )
)
@click.option("--stream", metavar="STREAM", help="Only this stream (agent-coder), or a category (agent-*).")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only facts of this type; may be repeated.")
@click.option("--after", type=click.IntRange(0), metavar="POSITION", help="Only what follows this position.")
@click.option(
    "--limit", "-n", type=click.IntRange(1), metavar="N", help="At most the newest N (else 50; all with --after)."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is appended, until Ctrl-C.")
@json_option
@places
def show(
    *,
    stream: str | None,
    types: tuple[str, ...],
    after: int | None,
    limit: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Show what happened, oldest first; also while the daemon runs.

    With --json one object a line.
    """
    from hyperhive.events import reading  # noqa: PLC0415 - heavy imports after --help
    from hyperhive.events.damage import LogDamaged  # noqa: PLC0415

    connection = _open()
    selection = reading.Selection(stream=stream, types=types, after=after or 0)
    _check_types(types)
    if limit is None and after is None:
        limit = 50
    last = selection.after
    try:
        for fact in reading.select(connection, selection, limit=limit):
            _print(fact, as_json=as_json)
            last = fact["position"]
        if follow:
            for fact in reading.follow(connection, reading.Selection(stream=stream, types=types, after=last)):
                _print(fact, as_json=as_json)
    except (LogDamaged, reading.Unreadable, sqlite3.DatabaseError) as error:
        raise click.ClickException(f"{error}; hyperhive log verify looks for what is wrong") from None


@log.command(
    epilog=examples("hyperhive log verify", "hyperhive log verify --anchor /mnt/elsewhere/hive.anchors --json")
)
@click.option(
    "--anchor", "anchors", metavar="FILE", type=EXISTING_FILE, help="Also compare with what log anchor wrote there."
)
@json_option
@places
def verify(*, anchors: Path | None, as_json: bool) -> int:
    """Walk the hash chain from the first fact to the last; name the first bad position.

    Without --anchor a tail that was cut off is not seen, nor a log that was written anew as a whole.
    """
    from hyperhive.events.anchor import BadAnchor, hive_of, read_anchors  # noqa: PLC0415 - heavy imports after --help
    from hyperhive.events.chain import AnchorMissed, ChainBroken, verify  # noqa: PLC0415

    path = _database()
    try:
        wanted = read_anchors(anchors, hive=hive_of(path)) if anchors is not None else []
        found = verify(path, wanted)
    except BadAnchor as bad:
        raise click.ClickException(str(bad)) from None
    except (ChainBroken, AnchorMissed) as broken:
        if as_json:
            write_json({"ok": False, "position": broken.position, "reason": broken.reason})
        say(f"hyperhive: {broken}")
        return 1
    if as_json:
        write_json({"ok": True, "count": found.count, "head": found.head.hex(), "anchors": len(wanted)})
    else:
        anchored = f"; anchors that hold: {len(wanted)}" if wanted else ""
        write(f"the chain holds: {found.count} facts, head {found.head.hex()}{anchored}")
    return 0


@log.command(epilog=examples("hyperhive log anchor /mnt/elsewhere/hive.anchors"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@places
def anchor(*, file: Path, as_json: bool) -> None:
    """Write down where the chain ends now, as a further line of FILE.

    Keep FILE where whoever could change the database cannot reach it: log verify --anchor FILE then also sees a tail
    that was cut off. The chain itself is not walked here.
    """
    from hyperhive.events.anchor import BadAnchor, head_of, write_anchor  # noqa: PLC0415 - heavy imports after --help

    try:
        head = head_of(_database())
        write_anchor(file, head, at=time.time_ns() // 1_000)
    except (BadAnchor, sqlite3.DatabaseError) as bad:
        raise click.ClickException(str(bad)) from None
    if as_json:
        write_json({"hive": head.hive, "position": head.position, "hash": head.hash.hex(), "file": str(file)})
    else:
        write(f"anchored at position {head.position}, head {head.hash.hex()}")


def _database() -> Path:
    from hyperhive.projections.database import WrongRevision, check_current  # noqa: PLC0415 - heavy imports after --help

    path = directories().hive_db
    if not path.exists():
        raise click.ClickException(f"no hive in {path.parent}; begin one with: hyperhive serve")
    try:
        check_current(path)
    except WrongRevision as error:
        raise click.ClickException(str(error)) from None
    return path


def _open() -> sqlite3.Connection:
    from hyperhive.events.log import read_only  # noqa: PLC0415 - heavy imports after --help

    return read_only(_database())


def _check_types(types: tuple[str, ...]) -> None:
    from hyperhive.events.codec import TYPES, UPCASTERS  # noqa: PLC0415 - as above

    for name in types:
        if name not in TYPES and name not in UPCASTERS:
            raise click.BadParameter(f"no type {name!r}; there are: {', '.join(TYPES)}", param_hint="--type")


def _print(fact: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(fact, ensure_ascii=True))
        return
    head = f"{fact['position']:>8}  {when(fact['at'])}  {fact['stream']:<20} {fact['type']:<22} {fact['actor']:<14}"
    write(f"{head} {_shortened(fact['data'])}".rstrip())


def _shortened(data: dict[str, Any]) -> str:
    text = safe(" ".join(_pairs(data)))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def _pairs(data: dict[str, Any]) -> Iterator[str]:
    for key, value in data.items():
        if value is not None and key not in ("agent", "to"):
            yield f"{key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
