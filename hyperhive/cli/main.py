"""The entry point: the group of all commands, and how whatever happens becomes an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from hyperhive.cli.lazy import ClosedPipe, LazyGroup
from hyperhive.cli.options import examples
from hyperhive.cli.places import places
from hyperhive.cli.table import COMMANDS
from hyperhive.cli.terminal import say

EXIT_CODES = {
    "failed": 1,
    "unavailable": 1,
    "invalid": 2,
    "too_large": 2,
    "not_found": 3,
    "conflict": 4,
    "not_running": 5,
    "forbidden": 6,
}
"""An error's ``code``, as every room names it → this program's exit code."""
INTERRUPTED = 130
PIPE_CLOSED = 141
"""128 and the number of SIGINT, of SIGPIPE: what a shell reports for a program that they end."""


def _show_version(context: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if not value or context.resilient_parsing:
        return
    from hyperhive._version import version  # noqa: PLC0415 - 30 ms that --help should not pay

    click.echo(f"hyperhive {version()}")
    context.exit()


@click.command(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "hyperhive serve                          run the hive here",
        'hyperhive send manager "build us a …"    ask the manager for something',
        "hyperhive inbox --follow                 read what comes back",
    )
    + "\n\nExit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 daemon not running, 6 forbidden.",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="Show the version."
)
@places
def hyperhive() -> None:
    """Supervise a swarm of Claude agents on this host."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A body with an emoji must not fail under LANG=de_DE.ISO-8859-1.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        result = hyperhive.main(
            args=None if arguments is None else list(arguments), prog_name="hyperhive", standalone_mode=False
        )
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ClosedPipe:
        _drop_stdout()
        return PIPE_CLOSED
    except OSError as error:
        _drop_stdout()
        say(f"hyperhive: {error}")
        return 1
    except Exception as error:
        code = EXIT_CODES.get(str(getattr(error, "code", "")))
        if code is None:
            raise
        say(f"hyperhive: {error}")
        return code
    return result if isinstance(result, int) else 0


def _drop_stdout() -> None:
    # What is still buffered cannot be written; the interpreter would complain of it once more at exit.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
