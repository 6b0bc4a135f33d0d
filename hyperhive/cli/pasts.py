"""What the commands of ``hyperhive replay`` share: the log they read, and moments on a command line."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hyperhive.cli.options import EXISTING_FILE
from hyperhive.cli.places import directories
from hyperhive.cli.terminal import say, when

if TYPE_CHECKING:
    from hyperhive.replay.past import Past

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any] | click.Command)

_WORTH_SAYING = 100_000
"""Events to fold; fewer are folded before anybody wonders."""
_MINUS = "\u2212"


class MomentCommand(click.Command):
    """A command whose arguments may begin as ``-15m`` does, which are moments and no options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write the minus of a moment as the sign proper, which click leaves alone and `read_moment` knows."""
        return super().parse_args(ctx, [f"{_MINUS}{arg[1:]}" if re.match(r"-\d", arg) else arg for arg in args])


def file_option(command: AnyCommand) -> AnyCommand:
    """Give a command ``--file``."""
    return click.option(
        "--file", metavar="FILE", type=EXISTING_FILE, help="A copied hive.sqlite, instead of this hive's log."
    )(command)


def log_path(file: Path | None) -> Path:
    """Return the log that is meant."""
    path = file if file is not None else directories().hive_db
    if not path.exists():
        raise click.ClickException(f"no hive in {path.parent}; begin one with: hyperhive serve")
    return path


@contextlib.contextmanager
def opened(file: Path | None) -> Iterator[Past]:
    """Open the past of this hive, or of a copied file."""
    from hyperhive.replay.past import Past  # noqa: PLC0415 - heavy imports after --help
    from hyperhive.replay.store import BLOCK  # noqa: PLC0415

    with Past(log_path(file), said=_progress) as past:
        if not past.kept and past.head > BLOCK:
            say("hyperhive: no checkpoints can be kept beside this log, so that this takes longer than it need")
        yield past


def position(past: Past, text: str) -> int:
    """Return the position that a text on the command line means."""
    return past.position(text, now=datetime.now(UTC))


def place(past: Past, at: int) -> str:
    """Name a position with its time."""
    from hyperhive.events.envelope import rfc3339  # noqa: PLC0415 - heavy imports after --help

    time = past.time_of(at)
    return f"position {at}" + (f", {when(rfc3339(time))}" if time is not None else "")


_told: dict[str, int] = {}


def _progress(done: int, wanted: int) -> None:
    """Say on a terminal how far the checkpoints are, where there are many to make."""
    begun = _told.setdefault("begun", done)
    if wanted - begun < _WORTH_SAYING or not sys.stderr.isatty():
        return
    percent = 100 * done // wanted
    if percent != _told.get("percent"):
        _told["percent"] = percent
        click.echo(f"\rmaking checkpoints, only this once: {percent} % ", err=True, nl=wanted - done < 4_096)
