"""Print for people and programs: data to stdout, messages to stderr, and no control characters of an agent's."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

# C0 without tab and newline, DEL, C1, and what reorders text (bidirectional controls, UAX #9) or breaks lines unseen.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def safe(text: str, *, lines: bool = False) -> str:
    """Escape whatever could move a cursor, set a title or reorder text; newlines and tabs too, unless ``lines``."""
    escaped = _UNSAFE.sub(_escaped, text)
    return escaped if lines else escaped.replace("\n", "\\n").replace("\t", "\\t")


def say(message: str) -> None:
    """Write a message to stderr, where it does not mix with data."""
    click.echo(safe(message, lines=True), err=True)


def write(text: str) -> None:
    """Write data that people read to stdout, lines kept."""
    click.echo(safe(text, lines=True))


def write_json(value: Any) -> None:
    """Write JSON to stdout: indented on a terminal, else on one line; either way safe to look at."""
    written = json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None)
    # The encoder escapes C0; the rest stands only inside strings, where \uXXXX means the same.
    click.echo(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", written))


def write_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table: with rich on a terminal, in aligned columns otherwise. Cells may hold anything."""
    cells = [[safe(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _write_rich_table(columns, cells)
        return
    widths = [max(len(row[column]) for row in [columns, *cells]) for column in range(len(columns))]
    for row in [columns, *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def when(at: str) -> str:
    """Write an RFC 3339 time in this machine's zone; what is none is shown as it came."""
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):  # the latter of year 1, in a file from somewhere else
        return safe(at)


def _write_rich_table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    # 90 ms of imports, for terminals alone. Text is given as Text: rich would read [markup] in a string.
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*[Text(cell) for cell in row])
    Console().print(table)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if found[0] == "\r":
        return "\\r"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
