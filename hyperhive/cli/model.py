"""``hyperhive model``: which model an agent's turns run on."""

from __future__ import annotations

from typing import Any

import click

from hyperhive.cli.options import AGENT, examples, json_option
from hyperhive.cli.places import places
from hyperhive.cli.terminal import say, write, write_json


@click.command(
    epilog=examples("hyperhive model coder opus", "hyperhive model coder --default", "hyperhive model coder")
)
@click.argument("name", type=AGENT)
@click.argument("model", required=False)
@click.option("--default", "is_default", is_flag=True, help="Take the choice back: the configured model again.")
@json_option
@places
def model(name: str, model: str | None, is_default: bool, as_json: bool) -> None:  # noqa: FBT001 - click flags
    """Choose the model of an agent's turns, or show it.

    A choice holds from the next turn on and over every restart; a turn that runs goes on with the model that it has.
    """
    if model is not None and is_default:
        raise click.UsageError(f"{model!r} and --default contradict each other; give one of them.")

    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    if model is None and not is_default:
        _show(client.call("agent_status")["agent_statuses"], name, as_json=as_json)
        return
    client.call("set_model", name=name, model=model)
    say(f"{name} runs on {model or 'the configured model'} from its next turn on")


def _show(rows: list[dict[str, Any]], name: str, *, as_json: bool) -> None:
    from hyperhive.cli.client import Refused  # noqa: PLC0415 - as above

    row = next((row for row in rows if row["name"] == name), None)
    if row is None:
        raise Refused(f"no agent {name!r}; hyperhive ps lists them", "not_found")
    if as_json:
        write_json({"name": name, "model": row["model"], "active_model": row["active_model"]})
        return
    write(f"{row['model'] or 'default'} (last turn: {row['active_model'] or 'none yet'})")
