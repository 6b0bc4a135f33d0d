"""``hyperhive config NAME``: what is applied to an agent, what was before, and the way back."""

from __future__ import annotations

from hyperhive.cli import client
from hyperhive.cli.confirm import confirm
from hyperhive.cli.showdiff import page, written
from hyperhive.cli.terminal import safe, say, when, write, write_json


def run(name: str, what: str, commit: str | None, *, note: str, yes: bool, as_json: bool) -> None:
    """Do one of show, log, diff and rollback."""
    match what:
        case "log":
            _log(name, as_json=as_json)
        case "diff":
            found = client.call("config_diff", name=name, old=commit)["diff"]
            write_json(found) if as_json else page(written(found))
        case "rollback":
            _roll_back(name, commit, note=note, yes=yes)
        case _:
            _show(name, as_json=as_json)


def _log(name: str, *, as_json: bool) -> None:
    entries = client.call("config_log", name=name)["log"]
    if as_json:
        write_json(entries)
        return
    for entry in entries:
        tags = f"  ({', '.join(entry['tags'])})" if entry["tags"] else ""
        write(safe(f"{entry['commit'][:12]}  {when(entry['at'])}  {entry['author']}: {entry['subject']}{tags}"))
    if not entries:
        say(f"nothing is applied to {name} yet")


def _show(name: str, *, as_json: bool) -> None:
    files = client.call("config_show", name=name)["files"]
    if as_json:
        write_json(files)
        return
    for path, text in files.items():
        write(f"# {safe(path)}\n{text}")
    if not files:
        say(f"nothing is applied to {name} yet")


def _roll_back(name: str, commit: str | None, *, note: str, yes: bool) -> None:
    target = {} if commit is None else {"commit": commit}
    to = "what it was before" if commit is None else commit
    confirm(f"Roll {name} back to {to}? Its container is rebuilt; its notes and mail stay.", yes=yes)
    number = client.call("config_rollback", name=name, note=note, **target)["approval_id"]
    say(f"approved as {number}")
