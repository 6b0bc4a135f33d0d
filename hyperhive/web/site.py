"""The HTTP application: its ways, each with who may take it."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import NotFound, Refused
from hyperhive.projections.history import History
from hyperhive.projections.views import Kept
from hyperhive.proposals.proposals import Proposals
from hyperhive.proposals.shown import review_shown
from hyperhive.web.access import AgentKeys, Keys, Who
from hyperhive.web.acts import Acts
from hyperhive.web.agent_page import AgentPage, agent_ways
from hyperhive.web.dashboard.activity import older_activity
from hyperhive.web.dashboard.configs import config_log
from hyperhive.web.dashboard.mail import older_mail
from hyperhive.web.dashboard.reviews import Reviews
from hyperhive.web.dashboard.sections import Dashboard
from hyperhive.web.forms import refused
from hyperhive.web.guard import Endpoint, Gate, Guarded, Way, person_of
from hyperhive.web.journal import ReadJournal, journal_endpoint
from hyperhive.web.live import Feed
from hyperhive.web.metrics import Metrics
from hyperhive.web.pages import page_ways
from hyperhive.web.past.page import PastPage
from hyperhive.web.past.reading import Reading
from hyperhive.web.past.ways import past_ways
from hyperhive.web.sections import Page, Section
from hyperhive.web.state import State
from hyperhive.web.static import static_way

_encode = msgspec.json.Encoder().encode


def _nowhere(_name: str) -> Path:
    """Stand for a daemon that keeps no streams."""
    return Path("/nonexistent")


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
    origins: frozenset[str]
    """Where the site is, such as ``http://127.0.0.1:7000``: whom requests may be for, and of whom their pages."""
    ready: Callable[[], bool] = attrs.field(default=lambda: True)
    """Whether every part of the daemon is open."""
    connections: Callable[[], int] = attrs.field(default=lambda: 0)
    """How many HTTP connections are open."""
    agent_origin: Callable[[str, str], str | None] = attrs.field(default=lambda _name, _host: None)
    """Where an agent's page is an origin of its own, for who asks for this host (as requests name it); None where it
    is not."""
    stream_file: Callable[[str], Path] = _nowhere
    """Where an agent's turn stream is kept."""
    model: Callable[[str], str | None] = attrs.field(default=lambda _name: None)
    """What an agent's session runs on where the operator has chosen nothing."""
    port: Callable[[str], int | None] = attrs.field(default=lambda _name: None)
    """Which web port an agent has, served or not."""
    name: str = attrs.field(factory=platform.node)
    """Of the hive, as people call it."""
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000
    keys: Keys = attrs.field(init=False)
    agent_keys: AgentKeys = attrs.field(init=False)
    agent_page: AgentPage = attrs.field(init=False)

    @keys.default
    def _keys(self) -> Keys:
        return Keys(self.token, self.dispatcher.hive)

    @agent_keys.default
    def _agent_keys(self) -> AgentKeys:
        return AgentKeys(self.token, self.keys)

    @property
    def acts(self) -> Acts:
        """What may be done over HTTP."""
        return Acts(dispatcher=self.dispatcher, history=self.history, proposals=self.proposals)

    @agent_page.default
    def _agent_page(self) -> AgentPage:
        return AgentPage(
            dispatcher=self.dispatcher,
            history=self.history,
            acts=self.acts,
            journal=self.journal,
            stream_file=self.stream_file,
            model=self.model,
            port=self.port,
            house=self.name,
        )


def dashboard_of(holds: Site) -> tuple[Section, ...]:
    """Return the sections of the dashboard."""
    return _dashboard(holds).sections()


def _dashboard(holds: Site) -> Dashboard:
    reviews = Reviews(holds.dispatcher, holds.proposals)
    return Dashboard(name=holds.name, reviews=reviews, clock=holds.clock)


def site(holds: Site, *more: Way) -> Starlette:
    """Build the application, with more ways than its own where somebody has any."""
    dashboard = _dashboard(holds)
    page = Page("dashboard", dashboard.sections(), holds.dispatcher, holds.history, holds.kept)
    feed = Feed(holds.dispatcher, holds.history, page.touches)
    acts = holds.acts.endpoints()
    reading = Reading(holds.history.path)
    past = PastPage(page=page, dashboard=dashboard, history=holds.history, proposals=holds.proposals, reading=reading)
    ways = [
        Way(path="/healthz", who=Who.PUBLIC, answer=_healthz),
        Way(path="/readyz", who=Who.PUBLIC, answer=_readyz(holds.ready)),
        Way(path="/metrics", who=Who.VIEWER, answer=Metrics(holds.dispatcher.hive, feed, holds.connections)),
        static_way(),
        Way(path="/api/state", who=Who.VIEWER, answer=State(holds.dispatcher.hive, holds.kept)),
        Way(path="/api/journal/{name}", who=Who.VIEWER, answer=journal_endpoint(holds.journal)),
        Way(path="/api/approval/{id:int}", who=Who.VIEWER, answer=_approval(holds.proposals)),
        *page_ways(page, feed),
        older_mail(holds.history),
        older_activity(holds.history),
        config_log(holds.proposals),
        *past_ways(past),
        Way(path="/api/agent-key/{name}", who=Who.VIEWER, answer=_agent_key(holds), method="POST"),
        *(attrs.evolve(way, path=f"/agent/{{name}}{way.path}") for way in agent_ways(holds.agent_page)),
        *(Way(path=path, who=Who.OPERATOR, answer=act, method="POST") for path, act in acts.items()),
        *more,
    ]
    app = Starlette(
        routes=[Route(way.path, Guarded(way, holds.keys), methods=[way.method]) for way in ways],
        middleware=[Middleware(Gate, origins=holds.origins)],
    )
    app.state.feed = feed
    app.state.past = reading
    return app


def feed_of(app: Starlette) -> Feed:
    """Return the feed of a site's live streams."""
    feed = app.state.feed
    assert isinstance(feed, Feed)  # noqa: S101 - `site` has put it there
    return feed


def past_of(app: Starlette) -> Reading:
    """Return what a site reads the past with; whoever serves the site closes it."""
    reading = app.state.past
    assert isinstance(reading, Reading)  # noqa: S101 - `site` has put it there
    return reading


def _agent_key(holds: Site) -> Endpoint:
    """Hand over a key that opens one agent's page; it is in the fragment, which reaches no server and no log."""

    async def answer(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in holds.dispatcher.hive.agents:
            return refused(NotFound(f"no agent {name[:80]!r}"))
        origin = holds.agent_origin(name, request.headers["host"])
        if origin is None:  # not served (yet), or somebody else has the port: then no key is for it
            return JSONResponse({"ok": True, "url": f"/agent/{name}/"})
        key = holds.agent_keys.make(name, person_of(request))
        return JSONResponse({"ok": True, "url": f"{origin}/#login={key}"})

    return answer


def _approval(proposals: Proposals) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            review = await proposals.review(request.path_params["id"])
        except Refused as refusal:
            return refused(refusal)
        return Response(_encode(review_shown(review)), media_type="application/json")

    return answer


async def _healthz(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _readyz(ready: Callable[[], bool]) -> Endpoint:
    async def answer(_request: Request) -> Response:
        return PlainTextResponse("ok\n") if ready() else PlainTextResponse("not open yet, or about to end\n", 503)

    return answer
