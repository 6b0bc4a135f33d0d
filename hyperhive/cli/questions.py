"""``hyperhive questions``, ``answer`` and ``cancel``: what agents want to know from you."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from hyperhive.cli.confirm import confirm
from hyperhive.cli.options import examples, json_option, yes_option
from hyperhive.cli.places import places
from hyperhive.cli.terminal import safe, say, when, write, write_json


@click.command(epilog=examples("hyperhive questions", "hyperhive questions --all --json"))
@click.option("--all", "everything", is_flag=True, help="Also those that are resolved, the newest 50.")
@json_option
@places
def questions(*, everything: bool, as_json: bool) -> None:
    """List what agents want to know from you.

    Answer with hyperhive answer, by the question's number.
    """
    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    rows = client.call("questions", all=everything)["questions"]
    if as_json:
        write_json(rows)
        return
    for row in rows:
        write(_shown(row))
    if not rows:
        say("no questions")


@click.command(
    epilog=examples(
        'hyperhive answer 31 "the second one, and hurry"',
        "hyperhive answer 31 --option 2",
        "hyperhive answer 31 --option 1 --option 3 'and a word'",
    )
)
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@click.argument("text", nargs=-1)
@click.option("--option", "-o", "chosen", multiple=True, type=click.IntRange(min=1), help="The number of an option.")
@places
def answer(*, number: int, text: tuple[str, ...], chosen: tuple[int, ...]) -> None:
    """Answer a question.

    Options and text may be given together; the agent reads them joined by ", ".
    """
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    if not text and not chosen:
        raise click.UsageError("write an answer, or choose with --option")
    options = _offered(number, chosen) if chosen else []
    reply = client.call("answer", id=number, options=options, text=" ".join(text))
    if reply.get("late"):
        say(f"question {number} had expired; the agent reads your answer as a late note")
    else:
        say(f"question {number} is answered")


@click.command(epilog=examples("hyperhive cancel 31", "hyperhive cancel 31 --yes"))
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@yes_option
@places
def cancel(*, number: int, yes: bool) -> None:
    """Say that a question gets no answer.

    The agent reads "[cancelled]" and has to decide alone.
    """
    confirm(f'Cancel question {number}? The agent will read "[cancelled]" and has to decide alone.', yes=yes)
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    client.call("cancel", id=number)
    say(f"question {number} is cancelled")


def _offered(number: int, chosen: tuple[int, ...]) -> list[str]:
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    rows = client.call("questions", all=True, limit=1_000)["questions"]
    offered: list[str] | None = next((row["options"] for row in rows if row["id"] == number), None)
    if offered is None:
        raise client.Refused(f"no question {number} among the newest; hyperhive questions lists them", "not_found")
    for position in chosen:
        if position > len(offered):
            raise click.BadParameter(
                f"question {number} offers {len(offered)} options, not {position}", param_hint="--option"
            )
    return [offered[position - 1] for position in chosen]


def _shown(row: dict[str, Any]) -> str:
    head = f"#{row['id']}  {when(row['asked_at'])}  {safe(row['asker'])} asks{_state(row)}"
    lines = [head, *(f"    {line}" for line in safe(row["question"], lines=True).split("\n"))]
    mark = "[ ]" if row["multi"] else "( )"
    lines += [f"      {mark} {number}  {safe(option)}" for number, option in enumerate(row["options"], start=1)]
    if row["answer"] is not None:
        lines += [f"    → {line}" for line in safe(row["answer"], lines=True).split("\n")]
    return "\n".join([*lines, ""])


def _state(row: dict[str, Any]) -> str:
    if row["status"] != "open":
        return f"  ({row['status']})"
    if row["deadline_at"] is None:
        return ""
    from hyperhive.projections.countdown import countdown  # noqa: PLC0415 - as above

    left = (datetime.fromisoformat(row["deadline_at"]) - datetime.now(UTC)).total_seconds()
    return f"  \N{HOURGLASS WITH FLOWING SAND}\N{VARIATION SELECTOR-15} {countdown(left)}"
