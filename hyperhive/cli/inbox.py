"""``hyperhive inbox``: what agents wrote to the operator."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from hyperhive.cli.options import examples, json_option
from hyperhive.cli.places import places
from hyperhive.cli.terminal import safe, say, when, write, write_json

_PAUSE_SECONDS = 0.5


@click.command(
    epilog=examples(
        "hyperhive inbox",
        "hyperhive inbox --unread --json",
        "hyperhive inbox --follow",
        "hyperhive inbox --keep --limit 5",
    )
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--unread", is_flag=True, help="Only what was not shown yet.")
@click.option("--keep", is_flag=True, help="Do not mark what is shown as read.")
@click.option("--limit", "-n", type=click.IntRange(1, 200), default=20, show_default=True, help="At most so many.")
@json_option
@places
def inbox(follow: bool, unread: bool, keep: bool, limit: int, as_json: bool) -> None:  # noqa: FBT001 - click flags
    """Read the messages that agents sent to you.

    The newest come last. With --follow each message is one JSON object a line under --json.
    """
    messages = _fetch(limit=limit, unread=unread)
    if as_json and not follow:
        write_json(messages)
    else:
        _show(messages, as_json=as_json)
    _mark(messages, keep=keep)
    if follow:
        newest = max((int(message["id"]) for message in messages), default=0)
        _follow(newest, unread=unread or not keep, keep=keep, as_json=as_json)
    elif not messages and not as_json:
        say("no unread messages" if unread else "no messages yet")


def _follow(newest: int, *, unread: bool, keep: bool, as_json: bool) -> NoReturn:
    """Show what comes after a message, also across a restart of the daemon.

    Weakness: more than 200 messages in half a second are not all shown; the rest stays unread.
    """
    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    away = False
    while True:
        time.sleep(_PAUSE_SECONDS)
        try:
            messages = [found for found in _fetch(limit=200, unread=unread) if found["id"] > newest]
            _show(messages, as_json=as_json)
            newest = max([newest, *(message["id"] for message in messages)])
            _mark(messages, keep=keep)
            away = False
        except (client.NotRunning, client.Unanswered) as error:
            if not away:
                say(f"{error}\nwaiting for it to come back…")
            away = True


def _fetch(*, limit: int, unread: bool) -> list[dict[str, Any]]:
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    messages: list[dict[str, Any]] = client.call("inbox", limit=limit, unread=unread)["messages"]
    return sorted(messages, key=lambda message: int(message["id"]))


def _mark(messages: Sequence[dict[str, Any]], *, keep: bool) -> None:
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    # After they were printed and flushed: a reader that is killed before that finds them unread.
    unread = [message["id"] for message in messages if not message.get("read")]
    if unread and not keep:
        client.call("read", ids=unread)


def _show(messages: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    for message in messages:
        if as_json:
            write_json(message)
        else:
            write(letter(message, f"from {safe(str(message['from']))}", new=not message.get("read")))


def letter(message: dict[str, Any], who: str, *, new: bool = False) -> str:
    """Write one message: a head at the margin, the body indented so that no body can pass for a head."""
    head = f"{'*' if new else ' '} #{message['id']}  {when(str(message['at']))}  {who}"
    body = safe(str(message["body"]), lines=True)
    return "\n".join([head, *(f"    {line}" for line in body.split("\n")), ""])
