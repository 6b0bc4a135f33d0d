"""``hyperhive replay at|diff``: the hive as it stood, and what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hyperhive.cli.options import examples, json_option
from hyperhive.cli.pasts import MomentCommand, file_option, opened, place, position
from hyperhive.cli.places import places
from hyperhive.cli.ps import state as standing
from hyperhive.cli.terminal import say, when, write, write_json, write_table

_LONGEST = 100
_MOST = 20


@click.command(
    cls=MomentCommand,
    epilog=examples(
        "hyperhive replay at 10:42",
        "hyperhive replay at 'yesterday 18:00' --json | jq .agents",
        "hyperhive replay at -15m",
        "hyperhive replay at 1200 --file copied.sqlite",
    ),
)
@click.argument("moment", metavar="POSITION|TIME")
@file_option
@json_option
@places
def at(*, moment: str, file: Path | None, as_json: bool) -> None:
    """Show the whole hive as it stood at a moment.

    A moment is a position in the log, or a time: 10:42 (the newest one that has been), yesterday 18:00, monday 9:30,
    2026-07-01 10:42, -15m, now, RFC 3339. What an agent's model thought and what its files held is not in the log.
    """
    with opened(file) as past:
        found = position(past, moment)
        state = past.state(found)
        if as_json:
            write_json(state)
            return
        write(f"{place(past, found)} (of {past.head})")
        if found:
            write(f"just then: {past.event(found).words}")
    show(state)


@click.command(
    cls=MomentCommand,
    epilog=examples("hyperhive replay diff 1200 1300", "hyperhive replay diff 'yesterday 18:00' now --json"),
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@file_option
@json_option
@places
def diff(*, a: str, b: str, file: Path | None, as_json: bool) -> None:
    """Say what changed between two moments.

    View by view, in words. With B before A, what going back would change.
    """
    with opened(file) as past:
        first, second = position(past, a), position(past, b)
        found = past.diff(first, second)
        if as_json:
            import msgspec  # noqa: PLC0415 - heavy imports after --help

            write_json({"from": first, "to": second, "changes": msgspec.to_builtins(found)})
            return
        write(f"from {place(past, first)}\nto   {place(past, second)}")
    if not found:
        say("nothing changed in any view")
    for view in dict.fromkeys(change.view for change in found):
        write(f"\n{view}")
        for change in found:
            if change.view == view:
                write(f"  {change.words}")


def show(state: dict[str, Any]) -> None:
    """Write a state for people."""
    if state["frozen"]:
        write("the hive is frozen")
    if state["agents"]:
        write("")
        write_table(
            ("NAME", "STATE", "NEEDS", "MAIL", "MODEL", "STATUS"), [_agent(state, row) for row in state["agents"]]
        )
    _listed("being made or gone", [f"{row['name']}: {row['pending'] or row['error']}" for row in state["transients"]])
    _listed("tombstones", [f"{row['name']}, since {when(row['since'])}" for row in state["tombstones"]])
    _listed("questions", [f"{row['id']} of {row['asker']}: {_short(row['question'])}" for row in state["questions"]])
    _listed("your inbox", [_mail(row) for row in state["inbox"]])
    _listed("parked", [f"to {row['to']}: {_mail(row)}" for row in state["parked"]])
    for name, rows in state["inboxes"].items():
        _listed(f"inbox of {name}", [_mail(row) for row in rows])


def _agent(state: dict[str, Any], row: dict[str, Any]) -> list[str]:
    shown = (
        "crashed" if row["name"] in state["crashed"] and not row["pending"] else standing(row, frozen=state["frozen"])
    )
    needs = [word for flag, word in (("needs_login", "login"), ("needs_update", "update")) if row[flag]]
    return [
        row["name"],
        shown + (", quarantined" if row["quarantined"] and shown == "crashed" else ""),
        ", ".join(needs),
        str(row["undelivered"] or ""),
        row["active_model"] or "",
        row["status_text"] or "",
    ]


def _listed(title: str, lines: list[str]) -> None:
    if lines:
        more = [f"… and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
        write("\n".join(["", title, *(f"  {line}" for line in [*lines[:_MOST], *more])]))


def _mail(row: dict[str, Any]) -> str:
    return f"{row['id']} from {row['from']}, {when(row['at'])}: {_short(row['body'])}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
