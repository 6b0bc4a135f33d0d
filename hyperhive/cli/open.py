"""``hyperhive open``: the dashboard, or an agent's page, in the browser, logged in."""

from __future__ import annotations

import html
import os
import webbrowser
from pathlib import Path

import click

from hyperhive.cli.options import AGENT, examples
from hyperhive.cli.places import directories, places
from hyperhive.cli.terminal import say, write


@click.command(epilog=examples("hyperhive open", "hyperhive open coder", "hyperhive open --print"))
@click.argument("name", type=AGENT, required=False)
@click.option("--print", "as_text", is_flag=True, help="Print the link; whoever has it is the operator.")
@places
def open_(name: str | None, as_text: bool) -> None:  # noqa: FBT001 - a click flag
    """Open the dashboard, or an agent's page.

    Without a browser on this machine the link is printed. Its key stands behind the #, which no browser sends anywhere.
    """
    from hyperhive.cli import client  # noqa: PLC0415 - 60 ms that --help should not pay

    link = client.call("link", name=name)["link"]
    if as_text or not _is_opened(link):
        write(link)


def _is_opened(link: str) -> bool:
    """Open a link in a browser, and return whether there is one.

    By way of a file that only this user can read: other users see command lines, and the key is in the link.
    """
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("BROWSER")):
        return False
    way = _way(directories().run, link)
    if not webbrowser.open(way.as_uri()):
        way.unlink(missing_ok=True)
        return False
    say("opened in the browser")
    return True


def _way(run: Path, link: str) -> Path:
    """Write a file that leads to a link; the next one takes its place."""
    way = run / "open.html"
    way.unlink(missing_ok=True)
    target = html.escape(link, quote=True)
    written = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={target}">\n'
    with open(way, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as opened:
        opened.write(written)
    return way
