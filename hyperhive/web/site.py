"""The HTTP application: its routes, each with who may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Refused
from hyperhive.projections import views
from hyperhive.projections.history import History
from hyperhive.projections.views import Kept
from hyperhive.proposals.proposals import Proposals
from hyperhive.proposals.shown import review_shown
from hyperhive.web.acts import Acts
from hyperhive.web.forms import refused
from hyperhive.web.guard import HostCheck, operators_only
from hyperhive.web.journal import ReadJournal, journal_endpoint

_encode = msgspec.json.Encoder().encode


@attrs.frozen(kw_only=True)
class Site:
    """What HTTP needs of the daemon."""

    dispatcher: Dispatcher
    history: History
    proposals: Proposals
    kept: Callable[[], Mapping[str, Kept]]
    """What destroyed agents keep on disk, as far as that is known."""
    journal: ReadJournal
    token: str
    """The operator's; every request but the one for health carries it as ``Authorization: Bearer``."""
    hosts: frozenset[str]
    """What the Host header may say."""


def site(holds: Site) -> Starlette:
    """Build the application."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def api_state(_request: Request) -> Response:
        return Response(_encode(views.state(holds.dispatcher.hive, holds.kept())), media_type="application/json")

    async def approval(request: Request) -> Response:
        try:
            review = await holds.proposals.review(request.path_params["id"])
        except Refused as refusal:
            return refused(refusal)
        return Response(_encode(review_shown(review)), media_type="application/json")

    acts = Acts(dispatcher=holds.dispatcher, history=holds.history, proposals=holds.proposals).endpoints()
    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/api/state", operators_only(holds.token, api_state)),
            Route("/api/approval/{id:int}", operators_only(holds.token, approval)),
            Route("/api/journal/{name}", operators_only(holds.token, journal_endpoint(holds.journal))),
            *(Route(path, operators_only(holds.token, act), methods=["POST"]) for path, act in acts.items()),
        ],
        middleware=[Middleware(HostCheck, hosts=holds.hosts)],
    )
