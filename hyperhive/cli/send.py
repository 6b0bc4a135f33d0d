"""``hyperhive send``: write to an agent."""

from __future__ import annotations

import os
import sys
import uuid

import click

from hyperhive.cli.options import AGENT, examples, json_option
from hyperhive.cli.places import places
from hyperhive.cli.terminal import say, write_json


@click.command(
    epilog=examples(
        'hyperhive send manager "a page that counts our visitors, please"',
        "git diff | hyperhive send reviewer -",
        'hyperhive send coder "go on" --command-id deploy-17      safe to repeat: sent once',
    )
)
@click.argument("name", type=AGENT)
@click.argument("text")
@click.option("--command-id", metavar="ID", help="Given again with the same text, nothing is sent twice.")
@json_option
@places
def send(name: str, text: str, command_id: str | None, as_json: bool) -> None:  # noqa: FBT001 - a click flag
    """Send a message to an agent.

    When this returns, the message is on disk. A TEXT of - reads it from stdin.
    """
    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    request = {"name": name, "body": _body(text), "command_id": command_id or uuid.uuid4().hex}
    try:
        reply = client.call("send", **request)
    except client.Unanswered:
        # It may or may not have been sent; the command id makes asking again safe.
        reply = client.call("send", **request)
    if as_json:
        write_json({"message_id": reply["message_id"]})
    else:
        say(f"message {reply['message_id']} waits for {name}")


def _body(text: str) -> str:
    from harness.wire import MAX_BODY_BYTES  # noqa: PLC0415 - as above

    try:
        content = sys.stdin.buffer.read(MAX_BODY_BYTES + 1) if text == "-" else os.fsencode(text)
        if len(content) > MAX_BODY_BYTES:
            raise click.UsageError(
                f"The message is longer than {MAX_BODY_BYTES} bytes; put it into a file and name that."
            )
        body = content.decode()
    except UnicodeError:
        raise click.UsageError("The message is not UTF-8; a message is text.") from None
    if not body.strip():
        raise click.UsageError("The message is empty; write something.")
    return body
