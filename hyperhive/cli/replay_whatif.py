"""``hyperhive replay what-if``: decide the past anew, without some events or by another rule."""

from __future__ import annotations

from pathlib import Path

import click

from hyperhive.cli.options import examples, json_option
from hyperhive.cli.pasts import MomentCommand, file_option, opened, place, position
from hyperhive.cli.places import places
from hyperhive.cli.terminal import say, write, write_json

_SHOWN = 20


@click.command(
    "what-if",
    cls=MomentCommand,
    epilog=examples(
        "hyperhive replay what-if --without 1234",
        "hyperhive replay what-if --rule quarantine.crashes=3",
        "hyperhive replay what-if --rule question:12=cancelled --json",
    ),
)
@click.option("--without", type=click.IntRange(1), multiple=True, metavar="EVENT", help="Leave out this event.")
@click.option("--rule", "rules", multiple=True, metavar="RULE", help="Another rule; a wrong one lists what there is.")
@click.option("--to", "last", metavar="MOMENT", help="Up to where (default: the log's end).")
@file_option
@json_option
@places
def what_if(
    *, without: tuple[int, ...], rules: tuple[str, ...], last: str | None, file: Path | None, as_json: bool
) -> None:
    """Decide the past anew without some events, or by another rule.

    Shows what would differ. The hive's own deciders decide every command of the log again, each in the hive as it would
    stand by then. What follows from an event that is left out goes with it. Nothing is written anywhere, and what
    cannot be known (what a model would have answered) is said.
    """
    from hyperhive.replay.whatif import read_rules  # noqa: PLC0415 - heavy imports after --help

    if not without and not rules:
        raise click.UsageError("say what would be otherwise: --without EVENT, --rule RULE, or several of them")
    alteration = read_rules(rules, without=without)
    with opened(file) as past:
        found = past.what_if(alteration, last=None if last is None else position(past, last))
        if as_json:
            import msgspec  # noqa: PLC0415 - heavy imports after --help

            write_json(msgspec.to_builtins(found))
            return
        write(f"decided anew: {found.first} to {place(past, found.last)}")
    if not found.counts:
        write("nothing would differ")
        return
    write(", ".join(f"{count} {kind.value}" for kind, count in found.counts.items()))
    for each in found.differences[:_SHOWN]:
        write(f"\n{each.position}  {each.kind.value}: {each.words}" + (f"\n    {each.reason}" if each.reason else ""))
        for instead in each.instead:
            write(f"    instead: {instead}")
    left = sum(found.counts.values()) - _SHOWN
    if left > 0:
        say(f"… and {left} more (--json has the first {len(found.differences)})")
    write("\nat the end the hive would differ in:")
    for change in found.changes:
        write(f"  {change.words}")
    if not found.changes:
        write("  nothing")
    write("\nwhat cannot be known:")
    for unknown in found.unknown:
        write(f"  {unknown}")
