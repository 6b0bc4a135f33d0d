"""``GET /page/config/{name}``: what was applied to an agent, newest first, each with the way back to it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from hyperhive.commands.errors import Refused
from hyperhive.proposals.proposals import Proposals
from hyperhive.web.access import Who
from hyperhive.web.forms import refused
from hyperhive.web.guard import Way, agent_of, person_of
from hyperhive.web.sections import TEMPLATES

SHOWN = 20


def config_log(proposals: Proposals) -> Way:
    """Return the way to an agent's configurations."""

    async def answer(request: Request) -> Response:
        name = agent_of(request)
        try:
            entries = await proposals.log(name, SHOWN)
        except Refused as refusal:
            return refused(refusal)
        markup = TEMPLATES.get_template("configs.html").render(
            name=name, entries=entries, applied=proposals.applied(name), may_act=person_of(request).may_act
        )
        return HTMLResponse(markup.encode(errors="replace"))

    return Way(path="/page/config/{name}", who=Who.VIEWER, answer=answer)
