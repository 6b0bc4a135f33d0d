"""``hyperhive logs``: what an agent's container wrote to stdout and stderr."""

from __future__ import annotations

import codecs
from pathlib import Path

import click

from hyperhive.cli import tail
from hyperhive.cli.options import AGENT, examples, json_option
from hyperhive.cli.places import directories, places
from hyperhive.cli.terminal import say, write, write_json
from hyperhive.runtimes.logs import MAX_LINES, UNITS, earlier

_LONGEST_LINE = 1_048_576


@click.command(epilog=examples("hyperhive logs coder", "hyperhive logs coder -n 1000", "hyperhive logs coder -f"))
@click.argument("name", type=AGENT)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "--lines", "-n", type=click.IntRange(0, MAX_LINES), default=100, show_default=True, help="The last so many."
)
@click.option(
    "--unit",
    type=click.Choice(UNITS),
    help="Only what this unit wrote; a container without systemd has one output.",
)
@json_option
@places
def logs(name: str, follow: bool, lines: int, unit: str | None, as_json: bool) -> None:  # noqa: FBT001 - click flags
    """Show what an agent's container wrote.

    Works without the daemon, too. With --json each line is an object {"line": …}.
    """
    path = _path(name, unit)
    out = _Output(as_json=as_json)
    opened = tail.open_log(path)
    recent = tail.last_lines(opened, lines)
    out.feed(_earlier(path, lines - recent.count(b"\n")) + recent)
    if not follow:
        out.end()
        return
    for chunk in tail.follow(path, opened):
        out.feed(chunk)


def _earlier(path: Path, lines: int) -> bytes:
    """Return the last lines of what was trimmed from a log, where the log itself has too few."""
    try:
        with tail.open_log(earlier(path)) as opened:
            return tail.last_lines(opened, max(lines, 0))
    except tail.NoLog:
        return b""


def _path(name: str, unit: str | None) -> Path:
    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    try:
        return Path(client.call("logs", name=name, **({"unit": unit} if unit else {}))["logs"]["path"])
    except client.NotRunning as error:
        path = directories().agent_log(name)
        if not path.exists():
            raise
        say(f"{error}\nwhat {name} wrote before:")
        return path


class _Output:
    """Prints whole lines; what a container writes is not trusted, and may stop in the middle of a character."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._rest = ""

    def feed(self, content: bytes) -> None:
        *whole, self._rest = (self._rest + self._decoder.decode(content)).split("\n")
        if len(self._rest) > _LONGEST_LINE:
            whole.append(self._rest)
            self._rest = ""
        for line in whole:
            self._line(line)

    def end(self) -> None:
        if last := self._rest + self._decoder.decode(b"", final=True):
            self._line(last)

    def _line(self, line: str) -> None:
        line = line.removesuffix("\r")
        if self._as_json:
            write_json({"line": line})
        else:
            write(line)
