"""``hyperhive replay``: prove that the present follows from the past."""

from __future__ import annotations

from typing import Any

import click

from hyperhive.cli.capsule import capsule
from hyperhive.cli.options import examples, json_option
from hyperhive.cli.places import directories, places
from hyperhive.cli.terminal import say, write, write_json


@click.group(epilog=examples("hyperhive replay verify"))
def replay() -> None:
    """Prove that the present follows from the past."""


replay.add_command(capsule)


@replay.command(epilog=examples("hyperhive replay verify", "hyperhive replay verify --json"))
@json_option
@places
def verify(*, as_json: bool) -> int:
    """Walk the hash chain, fold the whole log anew and compare every view with its table, row by row."""
    from hyperhive.events.chain import Verified  # noqa: PLC0415 - heavy imports after --help
    from hyperhive.replay.verify import Agreement, report  # noqa: PLC0415

    path = directories().hive_db
    if not path.exists():
        raise click.ClickException(f"no hive in {path.parent}; begin one with: hyperhive serve")
    found = report(path)
    chain, views = found.chain, found.views
    facts: dict[str, Any]
    folded: dict[str, Any]
    if isinstance(chain, Verified):
        facts = {"ok": True, "count": chain.count, "head": chain.head.hex()}
        shown = f"chain: holds, {chain.count} facts, head {chain.head.hex()}"
    else:
        facts = {"ok": False, "position": chain.position, "error": str(chain)}
        shown = "chain: broken"
        say(f"hyperhive: {chain}")
    if isinstance(views, Agreement):
        folded = {"ok": True, "position": views.position, "rows": views.rows}
        rows = ", ".join(f"{count} {name}" for name, count in views.rows.items())
        shown += f"\nviews: fold and tables agree at position {views.position}: {rows}"
    else:
        folded = {"ok": False, "error": str(views)}
        shown += "\nviews: not what the log folds to"
        say(f"hyperhive: {views}")
    if as_json:
        write_json({"ok": found.ok, "chain": facts, "views": folded})
    else:
        write(shown)
    return 0 if found.ok else 1
