"""``hyperhive ps``: the agents and what they are doing."""

from __future__ import annotations

from typing import Any

import click

from hyperhive.cli.options import examples, json_option
from hyperhive.cli.places import places
from hyperhive.cli.terminal import say, write_json, write_table

_COLUMNS = ("NAME", "STATE", "NEEDS", "MAIL", "MODEL", "DEPLOYED", "STATUS")


@click.command(epilog=examples("hyperhive ps", "hyperhive ps --json | jq -r '.[] | select(.running) | .name'"))
@json_option
@places
def ps(as_json: bool) -> None:  # noqa: FBT001 - a click flag
    """List the agents and what they are doing."""
    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    reply = client.call("agent_status")
    rows = reply.get("agent_statuses", [])
    if as_json:
        write_json(rows)
        return
    listed = {row["name"] for row in rows}
    # A container that is being spawned has no row yet.
    coming = [{"name": row["name"], "pending": "spawning"} | row for row in reply.get("transients", [])]
    frozen = bool(reply.get("frozen"))
    rows = [*rows, *(row for row in coming if row["name"] not in listed)]
    if not rows:
        say("no agents yet; make one with: hyperhive spawn NAME")
        return
    write_table(
        _COLUMNS,
        [_cells(row, frozen=frozen) for row in sorted(rows, key=lambda row: (row["name"] != "manager", row["name"]))],
    )
    if frozen:
        say("the hive is frozen: no turn begins until hyperhive thaw")


def state(row: dict[str, Any], *, frozen: bool = False) -> str:
    """Say in a few words how a container is, and what keeps its agent from going on."""
    if row.get("pending"):
        return f"{row['pending']}…"
    standing = "running" if row.get("running") else "failed" if row.get("failed") else "stopped"
    held = [word for word in ("quarantined", "paused") if row.get(word)]
    return ", ".join([standing, *held, *(["frozen"] if frozen and row.get("running") else [])])


def _cells(row: dict[str, Any], *, frozen: bool) -> list[str]:
    needs = [word for flag, word in (("needs_login", "login"), ("needs_update", "update")) if row.get(flag)]
    texts = [row.get(name) or "" for name in ("undelivered", "active_model", "deployed_sha", "status_text")]
    return [row["name"], state(row, frozen=frozen), ", ".join(needs), *map(str, texts)]
