"""Ask before something is destroyed; without a terminal there is nobody to ask."""

from __future__ import annotations

import sys

import click


class Declined(Exception):  # noqa: N818 - an answer, not a defect
    """The operator said no."""

    code = "failed"


def confirm(question: str, *, yes: bool) -> None:
    """Ask yes or no; raises `Declined`, or a usage error where nobody can be asked."""
    if yes:
        return
    _require_terminal(question)
    if not click.confirm(question, err=True):
        raise Declined("nothing was done")


def confirm_by_name(question: str, name: str, *, yes: bool) -> None:
    """Ask for the name to be typed, where there is no undo."""
    if yes:
        return
    _require_terminal(question)
    typed = click.prompt(f"{question}\nType {name} to go on", err=True, default="", show_default=False)
    if typed != name:
        raise Declined("nothing was done")


def _require_terminal(question: str) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"{question} There is no terminal to ask on; say --yes if it is meant.")
