"""Where things are: the options that every command takes, before or after its name, and what follows from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

# The configuration needs attrs (60 ms), which --help should not pay for.
if TYPE_CHECKING:
    from hyperhive.config import Config, Directories

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any] | click.Command)

_OPTIONS = (
    ("--data-dir", "DIR", "Data directory (else $HYPERHIVE_DATA_DIR, else the usual place)."),
    ("--run-dir", "DIR", "Directory of the sockets (else $HYPERHIVE_RUN_DIR, else the usual place)."),
    ("--config", "FILE", "Configuration (else $HYPERHIVE_CONFIG, else hyperhive.toml in the data directory)."),
)


def places(command: AnyCommand) -> AnyCommand:
    """Give a command ``--data-dir``, ``--run-dir`` and ``--config``."""
    for flag, metavar, text in reversed(_OPTIONS):
        command = click.option(flag, metavar=metavar, help=text, expose_value=False, callback=_remember)(command)
    return command


def _remember(context: click.Context, option: click.Parameter, value: str | None) -> None:
    # meta is shared by a group and its commands; the command's own options come last and win.
    if value is not None:
        context.meta[f"hyperhive.{option.name}"] = value


def named(option: str) -> str | None:
    """Return what a flag of this invocation says: ``data_dir``, ``run_dir`` or ``config``, never the environment."""
    found: str | None = click.get_current_context().meta.get(f"hyperhive.{option}")
    return found


def directories() -> Directories:
    """Return the data and run directory that this invocation means."""
    from hyperhive.config import locate  # noqa: PLC0415 - see above

    return locate(named("data_dir"), named("run_dir"), os.environ)


def config_file(found: Directories) -> tuple[Path, bool]:
    """Return the configuration's path, and whether somebody named it, so that it must exist."""
    given = named("config")
    given = os.environ.get("HYPERHIVE_CONFIG") if given is None else given
    return (found.config_file, False) if given is None else (Path(given).expanduser().absolute(), True)


def configuration(found: Directories, flags: Mapping[str, tuple[str, str]] | None = None) -> Config:
    """Load the configuration; ``flags`` is dotted key → (text, the flag as typed)."""
    from hyperhive.config import from_environment, from_file, from_flags, load  # noqa: PLC0415 - see above

    file, required = config_file(found)
    here = Path.cwd()
    return load(
        from_file(file, required=required),
        from_environment(os.environ, here),
        from_flags(flags or {}, here),
    )
