"""``hyperhive replay why``: the chain of causes as a tree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperhive.cli.options import examples, json_option
from hyperhive.cli.pasts import file_option, opened
from hyperhive.cli.places import places
from hyperhive.cli.terminal import safe, when, write, write_json

if TYPE_CHECKING:
    from hyperhive.replay.past import Node
    from hyperhive.replay.tool_calls import ToolCall


@click.command(
    epilog=examples(
        "hyperhive replay why 1234",
        "hyperhive replay why question:12",
        "hyperhive replay why agent:coder --json",
    )
)
@click.argument("subject", metavar="EVENT|question:ID|agent:NAME|approval:ID")
@click.option("--all", "everything", is_flag=True, help="Also what else followed from each cause.")
@file_option
@json_option
@places
def why(*, subject: str, everything: bool, file: Path | None, as_json: bool) -> None:
    """Show what led to an event, and what followed from it.

    question:12, agent:coder and approval:3 mean the newest event about them. ~ marks a link that is not in the record
    but follows from the order of events: nobody causes a crash, but somebody had started that container. So it does
    the call of a tool (⚒), which the agent's own turn stream tells of as long as the host keeps it.
    """
    with opened(file) as past:
        root = past.why(subject, everything=everything)
    if as_json:
        write_json(_plain(root))
    else:
        for line in _lines(root, "", ""):
            write(line)


def _plain(node: Node) -> dict[str, Any]:
    from hyperhive.events.envelope import rfc3339  # noqa: PLC0415 - heavy imports after --help

    return {
        "position": node.position,
        "at": rfc3339(node.at),
        "type": node.type,
        "actor": node.actor,
        "words": node.words,
        "inferred": node.inferred,
        "asked": node.asked,
        "left_out": node.left_out,
        "more": node.more,
        "tool_call": None if node.call is None else _call(node.call),
        "children": [_plain(child) for child in node.children],
    }


def _call(call: ToolCall) -> dict[str, Any]:
    from hyperhive.events.envelope import rfc3339  # noqa: PLC0415 - heavy imports after --help

    return {
        "agent": call.agent,
        "name": call.name,
        "id": call.id,
        "arguments": call.arguments,
        "at": None if call.at is None else rfc3339(call.at),
        "words": call.words,
        "named": call.named,
    }


def _lines(node: Node, first: str, rest: str) -> Iterator[str]:
    """Draw a tree; a chain without branches goes straight down."""
    from hyperhive.events.envelope import rfc3339  # noqa: PLC0415 - heavy imports after --help

    if node.left_out:
        yield f"{rest}⋮ {node.left_out} or more causes are not shown"
    if node.call is not None:
        at = "        " if node.call.at is None else when(rfc3339(node.call.at))[11:]
        told = "" if node.call.named else ", the newest that asks for this"
        yield f"{first}~ ⚒  {at}  {safe(node.call.words)}  [{node.call.agent}'s turn stream{told}]"
        first = rest
    mark = "▶ " if node.asked else "~ " if node.inferred else "  "
    # By role, since everybody's words may name anybody.
    yield f"{first}{mark}{node.position}  {when(rfc3339(node.at))[11:]}  {safe(node.words)}  [{node.actor}]"
    if len(node.children) == 1:
        yield from _lines(node.children[0], rest, rest)
    else:
        for number, child in enumerate(node.children, start=1):
            last = number == len(node.children)
            yield from _lines(child, f"{rest}{'└─' if last else '├─'}", f"{rest}{'  ' if last else '│ '}")
    if node.more:
        yield f"{rest}  … and more followed from {node.position} (hyperhive replay why {node.position})"
