"""``GET /page/mail?before=ID``: the operator's older mail, a page at a time."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from harness.wire import OPERATOR
from hyperhive.commands.errors import Invalid
from hyperhive.projections import views
from hyperhive.projections.history import History
from hyperhive.web.access import Who
from hyperhive.web.forms import refused
from hyperhive.web.guard import Way
from hyperhive.web.sections import TEMPLATES

PAGE = 50
_MOST_DIGITS = 18
_NEWEST = "9" * (_MOST_DIGITS - 1)


def older_mail(history: History) -> Way:
    """Return the way to older mail."""

    async def answer(request: Request) -> Response:
        given = request.query_params.get("before", _NEWEST)
        if not (given.isascii() and given.isdecimal() and len(given) < _MOST_DIGITS):
            return refused(Invalid(f"before is {given[:80]!r}; the id of a message is right"))
        rows = history.recent(OPERATOR, PAGE, before=int(given))
        oldest = rows[-1].id if rows else 0
        markup = TEMPLATES.get_template("older.html").render(
            mail=[views.message_row(row) for row in rows], oldest=oldest, older=history.count(OPERATOR, before=oldest)
        )
        return HTMLResponse(markup.encode(errors="replace"))

    return Way(path="/page/mail", who=Who.VIEWER, answer=answer)
