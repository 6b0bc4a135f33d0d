"""``GET /page/mail?before=ID``: the operator's older mail, a page at a time."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from harness.wire import OPERATOR
from hyperhive.commands.errors import Invalid
from hyperhive.projections import views
from hyperhive.projections.history import History
from hyperhive.web.access import Who
from hyperhive.web.dashboard.older import before
from hyperhive.web.forms import refused
from hyperhive.web.guard import Way
from hyperhive.web.sections import TEMPLATES

PAGE = 50


def older_mail(history: History) -> Way:
    """Return the way to older mail."""

    async def answer(request: Request) -> Response:
        try:
            rows = history.recent(OPERATOR, PAGE, before=before(request, "the id of a message"))
        except Invalid as error:
            return refused(error)
        oldest = rows[-1].id if rows else 0
        markup = TEMPLATES.get_template("older.html").render(
            mail=[views.message_row(row) for row in rows], oldest=oldest, older=history.count(OPERATOR, before=oldest)
        )
        return HTMLResponse(markup.encode(errors="replace"))

    return Way(path="/page/mail", who=Who.VIEWER, answer=answer)
