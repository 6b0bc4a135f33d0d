"""``hyperhive parked`` and ``requeue``: messages that failed to be delivered too often."""

from __future__ import annotations

import click

from hyperhive.cli.inbox import letter
from hyperhive.cli.options import AGENT, examples, json_option
from hyperhive.cli.places import places
from hyperhive.cli.terminal import safe, say, write, write_json


@click.command(epilog=examples("hyperhive parked", "hyperhive parked --json"))
@json_option
@places
def parked(as_json: bool) -> None:  # noqa: FBT001 - a click flag
    """List messages that could not be delivered.

    Whoever received one of these never ended the turn, several times over. Put it back with requeue.
    """
    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    messages = client.call("parked")["messages"]
    if as_json:
        write_json(messages)
        return
    for message in messages:
        who = f"{safe(str(message['from']))} to {safe(str(message['to']))}, {message['deliveries']} deliveries failed"
        write(letter(message, who))
    if not messages:
        say("no parked messages")


@click.command(epilog=examples("hyperhive requeue coder 17"))
@click.argument("name", type=AGENT)
@click.argument("message_id", metavar="ID", type=click.IntRange(min=1))
@places
def requeue(name: str, message_id: int) -> None:
    """Put a parked message back into its inbox.

    hyperhive parked lists them with their ids.
    """
    from hyperhive.cli import client  # noqa: PLC0415 - as above

    client.call("requeue", name=name, id=message_id)
    say(f"message {message_id} waits for {name} again")
