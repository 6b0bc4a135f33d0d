"""An agent's page: what is served below ``/agent/{name}`` and, as an origin of its own, on the agent's web port."""

from __future__ import annotations

import attrs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import NotFound
from hyperhive.projections import views
from hyperhive.projections.history import History
from hyperhive.web.access import Who
from hyperhive.web.forms import refused
from hyperhive.web.guard import Way
from hyperhive.web.shell import DASHBOARD_MODULES, shell


@attrs.frozen(kw_only=True)
class AgentPage:
    """What the page needs of the daemon."""

    dispatcher: Dispatcher
    history: History


def agent_of(request: Request) -> str:
    """Return whose page this is: known from the port, or from the path."""
    return str(request.scope.get("agent") or request.path_params["name"])


def agent_ways(holds: AgentPage) -> list[Way]:
    """Return the ways of one agent's page, from its own root."""
    empty = shell("agent", ("agent.js", *DASHBOARD_MODULES[1:]), title="hyperhive")

    async def show_shell(request: Request) -> Response:
        return empty.answer(request)

    async def show_state(request: Request) -> Response:
        hive, name = holds.dispatcher.hive, agent_of(request)
        if (agent := hive.agents.get(name)) is None:
            return refused(NotFound(f"no agent {name[:80]!r}"))
        return JSONResponse(views.agent_row(hive, agent))

    return [
        Way(path="/", who=Who.PUBLIC, answer=show_shell),
        Way(path="/api/state", who=Who.VIEWER, answer=show_state),
    ]
