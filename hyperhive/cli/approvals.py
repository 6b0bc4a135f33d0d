"""``hyperhive approvals``, ``approve``, ``deny`` and ``diff``: what the manager asks for."""

from __future__ import annotations

from typing import Any

import click

from hyperhive.cli.confirm import confirm
from hyperhive.cli.options import AGENT, examples, json_option, yes_option
from hyperhive.cli.places import places
from hyperhive.cli.showdiff import page, written
from hyperhive.cli.terminal import safe, say, when, write, write_json

NUMBER = click.IntRange(min=1)


@click.command(epilog=examples("hyperhive approvals", "hyperhive approvals --all --json"))
@click.option("--all", "everything", is_flag=True, help="Also those that are decided, the newest 50.")
@json_option
@places
def approvals(*, everything: bool, as_json: bool) -> None:
    """List what waits for your decision.

    Look at one with hyperhive diff, then approve or deny it.
    """
    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    rows = client.call("approvals", all=True)["approvals"] if everything else client.call("pending")["approvals"]
    if as_json:
        write_json(rows)
        return
    for row in rows:
        write("\n".join(_head(row)))
    if not rows:
        say("nothing waits for a decision")


@click.command(epilog=examples("hyperhive diff 7", "hyperhive diff 7 --json"))
@click.argument("number", metavar="ID", type=NUMBER)
@json_option
@places
def diff(*, number: int, as_json: bool) -> None:
    """Show what an approval would change, whole.

    Signs that would move, hide or reorder text are written as escapes.
    """
    review = _review(number)
    if as_json:
        write_json(review)
    else:
        page([*_head(review), *_blocked(review), "", *written(review["diff"])])


@click.command(epilog=examples("hyperhive approve 7", "hyperhive approve 7 --note 'but watch the cost' --yes"))
@click.argument("number", metavar="ID", type=NUMBER)
@click.option("--note", "-m", default="", help="What the requester is told besides.")
@yes_option
@places
def approve(*, number: int, note: str, yes: bool) -> None:
    """Approve a request: shows what it changes, and asks.

    What is approved is what was shown; if it moved meanwhile, nothing is.
    """
    review = _review(number)
    page([*_head(review), *_blocked(review), "", *written(review["diff"])], paged=False)
    if review["status"] == "pending" and not review["blocked"]:
        confirm(f"Approve {number}? That is what {review['agent']} becomes.", yes=yes)
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    shown = {"commit": review["commit_ref"], "base": review["base"]}
    client.call("approve", id=number, note=note, seen=True, **shown)
    say(f"approval {number} is approved")


@click.command(epilog=examples("hyperhive deny 7", "hyperhive deny 7 --note 'two coders are enough'"))
@click.argument("number", metavar="ID", type=NUMBER)
@click.option("--note", "-m", default="", help="Why; the requester is told.")
@places
def deny(*, number: int, note: str) -> None:
    """Deny a request; nothing changes."""
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    client.call("deny", id=number, note=note)
    say(f"approval {number} is denied")


@click.command(
    "request-spawn",
    epilog=examples('hyperhive request-spawn ann -m "writes code"', "hyperhive request-spawn ann -f agent.toml"),
)
@click.argument("name", type=AGENT)
@click.option("--reason", "-m", default="", help="What it is for.")
@click.option("--file", "-f", "file", type=click.File("r", encoding="utf-8"), help="Its agent.toml.")
@places
def request_spawn(*, name: str, reason: str, file: Any) -> None:
    """Ask for a new agent, to be approved like the manager's wishes.

    hyperhive spawn makes one at once, without a configuration of its own.
    """
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    config = None if file is None else file.read()
    number = client.call("request_spawn", name=name, reason=reason, config=config)["approval_id"]
    say(f"asked as approval {number}; hyperhive approve {number} shows and grants it")


def _review(number: int) -> dict[str, Any]:
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    review: dict[str, Any] = client.call("review", id=number)["review"]
    return review


def _head(row: dict[str, Any]) -> list[str]:
    commit = f" {row['commit_ref'][:12]}" if row["commit_ref"] else ""
    what = f"{row['kind'].replace('_', ' ')}{commit} for {safe(row['agent'])}"
    lines = [f"#{row['id']}  {when(row['requested_at'])}  {safe(row['requester'])} asks: {what}{_state(row)}"]
    return lines + [f"    {line}" for line in safe(row["description"], lines=True).split("\n") if row["description"]]


def _state(row: dict[str, Any]) -> str:
    if row["status"] == "pending":
        return ""
    note = f": {safe(row['note'])}" if row["note"] else ""
    return f"  ({row['status']}{note})"


def _blocked(review: dict[str, Any]) -> list[str]:
    return [f"    cannot be approved: {safe(review['blocked'])}"] if review["blocked"] else []
