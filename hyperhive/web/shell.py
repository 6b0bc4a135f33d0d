"""The shells of pages: the same few bytes for everybody. What is shown in them comes with a key alone."""

from __future__ import annotations

from hyperhive.web.held import Held
from hyperhive.web.sections import TEMPLATES

DASHBOARD_MODULES = ("first.js", "ask.js", "key.js", "parse.js", "times.js")
"""The script that shows the page, and all that it imports: named in the shell, so that they come side by side. What
looks after the page comes once it is painted."""


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
    "parse.js",
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
