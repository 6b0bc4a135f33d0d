"""The shells of pages: the same few bytes for everybody. What is shown in them comes with a key alone."""

from __future__ import annotations

from hyperhive.web.held import Held
from hyperhive.web.sections import TEMPLATES

DASHBOARD_MODULES = (
    "dashboard.js",
    "ask.js",
    "board.js",
    "connection.js",
    "forms.js",
    "glyphs.js",
    "held.js",
    "key.js",
    "keys.js",
    "live.js",
    "login.js",
    "logs.js",
    "morph.js",
    "open.js",
    "sections.js",
    "times.js",
    "typing.js",
    "vendor/idiomorph/idiomorph.esm.js",
)
"""The script of the page, and all that it imports: named in the shell, so that they come side by side."""


PAST_MODULES = (
    "past.js",
    "ask.js",
    "connection.js",
    "deck.js",
    "glyphs.js",
    "held.js",
    "key.js",
    "keys.js",
    "live.js",
    "login.js",
    "morph.js",
    "times.js",
    "vendor/idiomorph/idiomorph.esm.js",
)


def shell(
    page: str, modules: tuple[str, ...], *, title: str, styles: tuple[str, ...] = ("hive.css",), look: str = ""
) -> Held:
    """Write a shell; its first module is the page's script, which finds ``data-page`` on the body.

    ``look`` is a class of the body, for a page with colours of its own.
    """
    script, *imported = modules
    markup = TEMPLATES.get_template("shell.html").render(
        page=page, title=title, script=script, imported=imported, styles=styles, look=look
    )
    return Held(body=markup.encode(), media_type="text/html", headers={"Cache-Control": "no-cache"})
