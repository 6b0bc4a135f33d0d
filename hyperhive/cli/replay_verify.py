"""``hyperhive replay verify``: prove that the present follows from the past."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperhive.cli.options import examples, json_option
from hyperhive.cli.pasts import file_option, log_path
from hyperhive.cli.places import places
from hyperhive.cli.terminal import say, write, write_json

if TYPE_CHECKING:
    from hyperhive.replay.verify import Report

Told = tuple[dict[str, Any], str, Exception | None]
"""For programs, for people, and what is wrong."""


@click.command(epilog=examples("hyperhive replay verify", "hyperhive replay verify --file copied.sqlite --json"))
@file_option
@json_option
@places
def verify(*, file: Path | None, as_json: bool) -> int:
    """Walk the hash chain, fold the log anew, compare it with every table and every checkpoint.

    Exit code 1 if anything differs.
    """
    from hyperhive.replay.verify import report  # noqa: PLC0415 - heavy imports after --help

    found = report(log_path(file))
    told = {"chain": _chain(found), "views": _views(found), "checkpoints": _checkpoints(found)}
    for _, _, wrong in told.values():
        if wrong is not None:
            say(f"hyperhive: {wrong}")
    if as_json:
        write_json({"ok": found.ok, **{part: facts for part, (facts, _, _) in told.items()}})
    else:
        write("\n".join(f"{part}: {words}" for part, (_, words, _) in told.items()))
    return 0 if found.ok else 1


def _chain(found: Report) -> Told:
    from hyperhive.events.chain import Verified  # noqa: PLC0415 - heavy imports after --help

    chain = found.chain
    if isinstance(chain, Verified):
        facts = {"ok": True, "count": chain.count, "head": chain.head.hex()}
        return facts, f"holds, {chain.count} facts, head {chain.head.hex()}", None
    return {"ok": False, "position": chain.position, "error": str(chain)}, "broken", chain


def _views(found: Report) -> Told:
    from hyperhive.replay.verify import Agreement  # noqa: PLC0415 - heavy imports after --help

    views = found.views
    if isinstance(views, Agreement):
        rows = ", ".join(f"{count} {name}" for name, count in views.rows.items())
        facts = {"ok": True, "position": views.position, "rows": views.rows}
        return facts, f"fold and tables agree at position {views.position}: {rows}", None
    return {"ok": False, "error": str(views)}, "not what the log folds to", views


def _checkpoints(found: Report) -> Told:
    from hyperhive.replay.verify import Checked  # noqa: PLC0415 - heavy imports after --help

    checked = found.checkpoints
    if isinstance(checked, Checked):
        facts = {"ok": True, "count": checked.count, "position": checked.position}
        if not checked.count:
            return facts, "none of this release yet", None
        return facts, f"fold and all {checked.count} agree, the latest at position {checked.position}", None
    return (
        {"ok": False, "error": str(checked)},
        "not what the log folds to; remove the file and it is made anew",
        checked,
    )
