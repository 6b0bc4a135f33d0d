"""The ways to a page: its shell, its sections, the stream of what changes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from hyperhive.commands.errors import Invalid, NotFound, Refused
from hyperhive.web.access import Who
from hyperhive.web.forms import refused
from hyperhive.web.guard import Way, person_of
from hyperhive.web.live import Feed, stream
from hyperhive.web.sections import Page
from hyperhive.web.shell import DASHBOARD_MODULES, shell


def page_ways(page: Page, feed: Feed) -> list[Way]:
    """Return the ways to the dashboard."""
    empty = shell("dashboard", DASHBOARD_MODULES, title="hyperhive", styles=("hive.css", "dashboard.css"))

    async def show_shell(request: Request) -> Response:
        return empty.answer(request)

    async def show_page(request: Request) -> Response:
        may_act = person_of(request).may_act
        only = request.query_params.get("only")
        if only is None:
            return page.whole(may_act=may_act).answer(request)
        wanted = only.split(",")
        names = [name for name in page.sections if name in wanted]
        if len(names) != len(wanted):
            return refused(_unknown(page, only))
        return page.some(names, may_act=may_act).answer(request)

    async def show_section(request: Request) -> Response:
        name = request.path_params["section"]
        if name not in page.sections:
            return refused(_unknown(page, name))
        return page.section(name, may_act=person_of(request).may_act).answer(request)

    async def show_me(request: Request) -> Response:
        actor = person_of(request).actor
        return JSONResponse({"ok": True, "name": actor.name, "role": actor.role.value})

    async def show_events(request: Request) -> ASGIApp:
        try:
            return stream(request, feed)
        except Invalid as error:
            return refused(error)

    return [
        Way(path="/", who=Who.PUBLIC, answer=show_shell),
        Way(path=f"/page/{page.name}", who=Who.VIEWER, answer=show_page),
        Way(path=f"/page/{page.name}/{{section}}", who=Who.VIEWER, answer=show_section),
        Way(path="/api/me", who=Who.VIEWER, answer=show_me),
        Way(path="/events", who=Who.VIEWER, answer=show_events),
    ]


def _unknown(page: Page, given: str) -> Refused:
    return NotFound(f"no section {given[:80]!r}; there are: {', '.join(page.sections)}")
