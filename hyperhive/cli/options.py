"""Options and arguments that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

_COMPLETION_SECONDS = 0.2

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any] | click.Command)


def examples(*lines: str) -> str:
    """Write the end of a command's help; click keeps the lines after \\b as they are."""  # noqa: D301 - names the escape
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def json_option(command: AnyCommand) -> AnyCommand:
    """Give a command ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


def yes_option(command: AnyCommand) -> AnyCommand:
    """Give a command ``--yes``."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask; needed where there is no terminal.")(command)


def wait_options(command: AnyCommand) -> AnyCommand:
    """Give a command ``--wait/--no-wait`` and ``--timeout``."""
    command = click.option(
        "--timeout",
        type=click.FloatRange(0.1, 86_400),
        default=120.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait.",
    )(command)
    return click.option("--wait/--no-wait", default=True, help="Wait until it is done, and say how it went (default).")(
        command
    )


def pairs(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Read ``--set KEY=VALUE`` options, for `click.option(callback=…)`."""
    read: dict[str, tuple[str, str]] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals:
            raise click.BadParameter(
                f"{value!r} has no '='; write KEY=VALUE, such as claude.model=opus", context, option
            )
        read[key.strip()] = (text.strip(), f"--set {key.strip()}")
    return read


class AgentName(click.ParamType):  # type: ignore[type-arg] # generic for type checkers from click 8.4 on
    """An agent's name, checked before it reaches the daemon, completed from what the daemon lists."""

    name = "name"
    listed_by = ("list", "agents")
    """The verb that lists what can be meant, and its field."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form; whether there is such an agent is for the daemon to say."""
        from harness.wire import WireError, check_name  # noqa: PLC0415 - 60 ms that --help should not pay

        try:
            return check_name(value)
        except WireError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002 - click's signature
        """Offer the agents that there are; none when the daemon does not answer at once."""
        from hyperhive.cli import client  # noqa: PLC0415 - as above
        from hyperhive.config import locate  # noqa: PLC0415 - as above

        try:
            found = locate(ctx.meta.get("hyperhive.data_dir"), ctx.meta.get("hyperhive.run_dir"), os.environ)
            verb, field = self.listed_by
            rows = client.ask(found.host_sock, {"cmd": verb}, seconds=_COMPLETION_SECONDS).get(field, [])
            names = [row["name"] if isinstance(row, dict) else row for row in rows]
        except Exception:  # noqa: BLE001 - a message would land in the middle of the line being typed
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class TombstoneName(AgentName):
    """The name of a destroyed agent."""

    listed_by = ("tombstones", "tombstones")


AGENT = AgentName()
TOMBSTONE = TombstoneName()
EXISTING_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
