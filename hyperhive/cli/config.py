"""``hyperhive config``: every setting, its value, where the value came from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperhive.cli import places
from hyperhive.cli.options import AGENT, examples, json_option, pairs, yes_option
from hyperhive.cli.terminal import write, write_json

if TYPE_CHECKING:
    from hyperhive.config import Config, Directories


@click.command(
    epilog=examples(
        "hyperhive config --print",
        "hyperhive config --print --json",
        "hyperhive config --explain",
        "HYPERHIVE_CLAUDE_MODEL=opus hyperhive config",
        "hyperhive config coder log",
        "hyperhive config coder rollback 3b08c55",
    )
)
@click.argument("name", required=False, type=AGENT)
@click.argument("what", required=False, default="show", type=click.Choice(["log", "diff", "show", "rollback"]))
@click.argument("commit", required=False)
@click.option("--note", "-m", default="", help="Why it is rolled back.")
@yes_option
@click.option("--print", "as_toml", is_flag=True, help="Print values with their origins (default).")
@click.option("--explain", is_flag=True, help="Print what each key is for and what it accepts.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", callback=pairs, help="As serve --set would.")
@json_option
@places.places
def config(
    *,
    as_toml: bool,
    explain: bool,
    settings: dict[str, tuple[str, str]],
    as_json: bool,
    name: str | None,
    what: str,
    commit: str | None,
    note: str,
    yes: bool,
) -> None:
    """Show every setting and where its value came from, or what an agent is.

    Later wins: defaults, hyperhive.toml, the environment (claude.model is HYPERHIVE_CLAUDE_MODEL), flags. The output of
    --print is a hyperhive.toml itself. Secrets are never in it: claude.credentials_file names the file that holds them.

    With the NAME of an agent, its applied configuration: show (default), log, diff (the last change, or since COMMIT),
    rollback (to the one before, or to COMMIT, which was approved once).
    """
    if name is not None:
        from hyperhive.cli.agentconfig import run  # noqa: PLC0415 - 60 ms that --help should not pay

        run(name, what, commit, note=note, yes=yes, as_json=as_json)
        return
    if explain and as_toml:
        raise click.UsageError("--print and --explain are two outputs; choose one")
    if explain:
        _explain(as_json=as_json)
        return
    directories = places.directories()
    loaded = places.configuration(directories, settings)
    if as_json:
        write_json(_document(loaded, directories))
    else:
        write("\n".join(_toml(loaded, directories)))


def _document(loaded: Config, directories: Directories) -> dict[str, Any]:
    from hyperhive.config.sections import KEYS  # noqa: PLC0415 - 60 ms that --help should not pay

    file, _named = places.config_file(directories)
    return {
        "data_dir": {"value": str(directories.data), "origin": directories.data_origin},
        "run_dir": {"value": str(directories.run), "origin": directories.run_origin},
        "config_file": {"value": str(file), "exists": file.exists()},
        "settings": {name: {"value": _plain(loaded.value(name)), "origin": loaded.origin(name)} for name in KEYS},
    }


def _toml(loaded: Config, directories: Directories) -> Iterator[str]:
    from hyperhive.config.sections import KEYS  # noqa: PLC0415 - as above

    yield f"# data directory: {directories.data} ({directories.data_origin})"
    yield f"# run directory: {directories.run} ({directories.run_origin})"
    section = ""
    for name in KEYS:
        inside, _, key = name.rpartition(".")
        if inside != section:
            section = inside
            yield f"\n[{section}]"
        value = _plain(loaded.value(name))
        line = f"# {key} is unset" if value is None else f"{key} = {json.dumps(value, ensure_ascii=False)}"
        yield f"{line:<45} # {loaded.origin(name)}"


def _explain(*, as_json: bool) -> None:
    from hyperhive.config.sections import KEYS, variable  # noqa: PLC0415 - as above

    rows = [
        {
            "key": name,
            "about": field.metadata["about"],
            "right": field.metadata["rule"].right,
            "default": _plain(field.default),
            "environment": variable(name),
        }
        for name, field in KEYS.items()
    ]
    if as_json:
        write_json(rows)
        return
    for row in rows:
        write(
            f"{row['key']}\n    {row['about']}\n    {row['right']}; "
            f"default {json.dumps(row['default']) if row['default'] is not None else 'unset'}; {row['environment']}"
        )


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
