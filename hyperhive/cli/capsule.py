"""``hyperhive replay capsule``: an incident in one file, for somebody else; and such a file, looked at."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import click

from hyperhive.cli.exchange import new_file
from hyperhive.cli.options import AGENT, examples, json_option
from hyperhive.cli.places import config_file, configuration, directories, places
from hyperhive.cli.terminal import safe, say, when, write, write_json

if TYPE_CHECKING:
    from hyperhive.replay.capsule_file import Capsule

_SHOWN_CHARACTERS = 100


@click.command(
    epilog=examples(
        "hyperhive replay capsule coder --around 1200 --output incident.capsule",
        "hyperhive replay capsule coder --around 1200 --redact --output incident.capsule",
        "hyperhive replay capsule --open incident.capsule",
    )
)
@click.argument("agent", type=AGENT, required=False)
@click.option("--around", type=click.IntRange(1), metavar="POSITION", help="The event that it is about.")
@click.option("--facts", type=click.IntRange(0, 5_000), default=200, show_default=True, help="Before it, and after it.")
@click.option("--redact", "redacted", is_flag=True, help="Leave out what people and agents said.")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="A new file (0600)."
)
@click.option("--open", "opened", type=click.File("rb"), metavar="FILE", help="Look at a capsule instead.")
@json_option
@places
def capsule(
    *,
    agent: str | None,
    around: int | None,
    facts: int,
    redacted: bool,
    output: Path | None,
    opened: BinaryIO | None,
    as_json: bool,
) -> None:
    """Put an incident into one file for somebody else: facts, state, turns, output, versions, settings.

    What looks like a secret, and what this host knows to be one, is taken out; --redact also leaves out what people and
    agents said. --open shows a capsule: whoever made it could write anything into it, so only its own sum is believed.
    """
    if opened is not None:
        if agent is not None or around is not None:
            raise click.UsageError("--open looks at a file; it takes no agent and no --around")
        _show(opened, as_json=as_json)
        return
    if agent is None or around is None:
        raise click.UsageError("name an agent and the event: hyperhive replay capsule coder --around 1200")
    with new_file(output) as to:
        count = _make(agent, around, facts, to, redacted=redacted)
    if output is not None:
        say(f"{count} parts in {output}; look at it before you hand it on: hyperhive replay capsule --open {output}")


def _make(agent: str, around: int, facts: int, to: IO[bytes], *, redacted: bool) -> int:
    from hyperhive._version import version  # noqa: PLC0415 - heavy imports after --help
    from hyperhive.config.sections import KEYS  # noqa: PLC0415
    from hyperhive.events.anchor import BadAnchor  # noqa: PLC0415
    from hyperhive.events.chain import ChainBroken  # noqa: PLC0415
    from hyperhive.events.damage import LogDamaged  # noqa: PLC0415
    from hyperhive.events.secrets import Scrubber  # noqa: PLC0415
    from hyperhive.projections.database import WrongRevision, check_current  # noqa: PLC0415
    from hyperhive.replay.capsule import Maker, known_secrets  # noqa: PLC0415

    found = directories()
    if not found.hive_db.exists():
        raise click.ClickException(f"no hive in {found.data}; begin one with: hyperhive serve")
    loaded = configuration(found)
    credentials = loaded.claude.credentials_file
    maker = Maker(
        directories=found,
        agent=agent,
        around=around,
        facts=facts,
        redacted=redacted,
        release=version(),
        configuration={
            "file": str(config_file(found)[0]),
            "settings": {name: {"value": _plain(loaded.value(name)), "origin": loaded.origin(name)} for name in KEYS},
        },
        scrubber=Scrubber(known_secrets(found, [Path(credentials)] if credentials else [])),
    )
    try:
        check_current(found.hive_db)
        return maker.make(to.write)
    except (BadAnchor, ChainBroken, LogDamaged, WrongRevision, sqlite3.DatabaseError) as error:
        raise click.ClickException(str(error)) from None


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _show(opened: BinaryIO, *, as_json: bool) -> None:
    from hyperhive.replay.capsule_file import read  # noqa: PLC0415 - heavy imports after --help

    with contextlib.closing(opened):
        found = read(opened)
    if as_json:
        write_json(_document(found))
        return
    header = found.header
    write(f"agent {safe(header.agent)} of the hive {safe(header.hive)}, around position {header.around}")
    write(f"at {when(header.at)}, by hyperhive {safe(header.release)}{', redacted' if header.redacted else ''}")
    for part in found.parts["versions"]:
        write("versions: " + ", ".join(f"{safe(str(name))} {safe(str(value))}" for name, value in part.items()))
    for part in found.parts["configuration"]:
        write(_cut(f"configuration applied to {header.agent} then: {part.get('applied') or 'none'}"))
    for part in found.parts["left_out"]:
        write(f"left out: {safe(part.what)}: {safe(part.why)}")
    for kind in ("before", "after"):
        for moment in found.parts[kind]:
            write(f"\n{kind} (position {moment.position}):")
            write(f"  cannot be had: {safe(str(moment.missing))}" if moment.state is None else _agents(moment.state))
    write(f"\nfacts ({len(found.facts)}, their chain holds in itself):")
    for row in found.facts:
        mark = ">" if row[0] == header.around else " "
        write(_cut(f"{mark}{row[0]:>8}  {row[1]}  {row[3]}  {row[5]}  {row[8]}"))
    write(f"\nturns ({len(found.parts['turn'])}):")
    for turn in found.parts["turn"]:
        write(_cut(f"  {when(turn.at)}  {turn.type}  {turn.data}"))
    write(f"\noutput ({len(found.parts['output'])} lines):")
    for line in found.parts["output"]:
        write(f"  {safe(line)}")


def _agents(state: dict[str, Any]) -> str:
    agents = state.get("agents")
    rows = [row for row in agents if isinstance(row, dict)] if isinstance(agents, list) else []
    return "\n".join(
        _cut("  " + "  ".join(f"{key}={row.get(key)}" for key in ("name", "state", "pending", "status", "error")))
        for row in rows
    )


def _cut(text: str) -> str:
    shown = safe(text)
    return shown if len(shown) <= 2 * _SHOWN_CHARACTERS else f"{shown[: 2 * _SHOWN_CHARACTERS - 1]}…"


def _document(found: Capsule) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 - as above

    parts = {kind: msgspec.to_builtins(values) for kind, values in found.parts.items() if kind != "export"}
    names = ("position", "stream", "version", "type", "at", "actor", "correlation", "causation", "data", "hash")
    facts = [dict(zip(names, (*row[:8], row[8], _hex(row[9])), strict=True)) for row in found.facts]
    return {"header": msgspec.to_builtins(found.header), **parts, "facts": facts}


def _hex(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
