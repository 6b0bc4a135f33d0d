"""The HTTP application: its routes, each with who may ask."""

from __future__ import annotations

import attrs
import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.projections import views
from hyperhive.projections.history import History
from hyperhive.web.acts import Acts
from hyperhive.web.guard import HostCheck, operators_only

_encode = msgspec.json.Encoder().encode


@attrs.frozen(kw_only=True)
class Site:
    """What HTTP needs of the daemon."""

    dispatcher: Dispatcher
    history: History
    token: str
    """The operator's; every request but the one for health carries it as ``Authorization: Bearer``."""
    hosts: frozenset[str]
    """What the Host header may say."""


def site(holds: Site) -> Starlette:
    """Build the application."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def api_state(_request: Request) -> Response:
        return Response(_encode(views.state(holds.dispatcher.hive)), media_type="application/json")

    acts = Acts(dispatcher=holds.dispatcher, history=holds.history).endpoints()
    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/api/state", operators_only(holds.token, api_state)),
            *(Route(path, operators_only(holds.token, act), methods=["POST"]) for path, act in acts.items()),
        ],
        middleware=[Middleware(HostCheck, hosts=holds.hosts)],
    )
