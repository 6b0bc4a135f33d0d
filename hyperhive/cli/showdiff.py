"""Writes a diff for people: coloured on a terminal, through a pager where it is long."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

import click

from hyperhive.cli.terminal import safe

_COLOURS = {"+": "green", "-": "red", "@": "cyan", "\\": "yellow"}


def written(diff: dict[str, Any]) -> list[str]:
    """Return a diff's lines; colours are left out again where they do not belong (`click.echo` knows)."""
    lines = []
    for file in diff["files"]:
        lines.append(click.style(_title(file), bold=True))
        for line in file["lines"]:
            text = line["text"] if line["kind"] == "@" else f"{line['kind']}{line['text']}"
            lines.append(click.style(safe(text, lines=True), fg=_COLOURS.get(line["kind"])))
    return lines or ["nothing changes"]


def page(lines: Iterable[str], *, paged: bool = True) -> None:
    """Show lines, in a pager on a terminal."""
    text = "\n".join(lines) + "\n"
    if not (paged and sys.stdout.isatty() and sys.stdin.isatty()):
        click.echo(text, nl=False)
        return
    # Colours through, and no other control characters: `less` without -r shows those as what they are.
    os.environ.setdefault("LESS", "-RFX")
    click.echo_via_pager(text, color=None if "NO_COLOR" not in os.environ else False)


def _title(file: dict[str, Any]) -> str:
    old, new = file["old_mode"], file["new_mode"]
    mode = (
        f"  mode {old} → {new}"
        if old and new and old != new
        else f"  mode {new}"
        if new == "100755" and not old
        else ""
    )
    return safe(f"{file['status']} {file['path']}{mode}")
