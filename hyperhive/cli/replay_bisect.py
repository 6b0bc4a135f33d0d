"""``hyperhive replay bisect``: the first position at which something was so."""

from __future__ import annotations

from pathlib import Path

import click

from hyperhive.cli.options import examples, json_option
from hyperhive.cli.pasts import MomentCommand, file_option, opened, place, position
from hyperhive.cli.places import places
from hyperhive.cli.terminal import say, write, write_json


def _show_phrases(context: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if not value or context.resilient_parsing:
        return
    from hyperhive.replay.expression import PHRASES  # noqa: PLC0415 - heavy imports after --help

    for phrase, _, meant in PHRASES:
        click.echo(f"{phrase}\n    {meant}")
    context.exit()


@click.command(
    cls=MomentCommand,
    epilog=examples(
        "hyperhive replay bisect --when 'agent coder crashed'",
        "hyperhive replay bisect --when 'agent coder spent more than 5' --json",
        "hyperhive replay bisect --when 'length(agents[?running]) > `3`' --from -2h",
    ),
)
@click.option("--when", "text", required=True, metavar="EXPR", help="A phrase, or JMESPath over the state's JSON.")
@click.option("--from", "first", metavar="MOMENT", default="1", show_default=True, help="Where to begin.")
@click.option("--to", "last", metavar="MOMENT", help="Where to end (default: the log's end).")
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 86_400),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to look.",
)
@click.option(
    "--phrases",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_phrases,
    help="List the phrases and what they are short for.",
)
@file_option
@json_option
@places
def bisect(*, text: str, first: str, last: str | None, seconds: float, file: Path | None, as_json: bool) -> int:
    """Find the first position at which something was so.

    By binary search over checkpoints where it can only become true (a counter of one agent, the position), else by
    looking at every position; the answer says which. Exit code 3 where it never was so, 1 where the time was up.
    """
    from hyperhive.replay.past import predicate  # noqa: PLC0415 - heavy imports after --help

    wanted = predicate(text)
    with opened(file) as past:
        end = past.head if last is None else position(past, last)
        found = past.bisect(wanted, first=min(position(past, first), end), last=end, seconds=seconds)
        how = f"{'binary search' if found.by_search else 'scan'}: {found.reason}"
        unfinished = found.position is None and found.looked_to < end
        if as_json:
            write_json(
                {
                    "position": found.position,
                    "when": wanted.text,
                    "by": "binary search" if found.by_search else "scan",
                    "reason": found.reason,
                    "from": found.looked_from,
                    "to": found.looked_to,
                    "finished": not unfinished,
                    "evaluations": found.evaluations,
                }
            )
        elif found.position is not None:
            write(place(past, found.position))
            if found.position:
                write(past.event(found.position).words)
        if found.position is not None:
            if not as_json:
                say(f"({how}; looked at {found.evaluations} states)")
            return 0
    if unfinished:
        say(
            f"hyperhive: not so from {found.looked_from} to {found.looked_to}, then the {seconds:g} s were up; "
            f"go on with --from {found.looked_to + 1} ({how})"
        )
        return 1
    say(f"hyperhive: at no position from {found.looked_from} to {found.looked_to} ({how})")
    return 3
