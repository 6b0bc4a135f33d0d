"""An agent's page: what is served below ``/agent/{name}`` and, as an origin of its own, on the agent's web port."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Invalid, NotFound, Refused, Unavailable
from hyperhive.events.stream_reading import StreamReader
from hyperhive.projections.history import History
from hyperhive.web.access import Who
from hyperhive.web.acts import Acts
from hyperhive.web.agent.context import LOOK_BACK, context_of
from hyperhive.web.agent.entries import KINDS
from hyperhive.web.agent.errors import Errors
from hyperhive.web.agent.feed import TurnFeeds, TurnStream
from hyperhive.web.agent.parts import PARTS, Parts
from hyperhive.web.agent.slices import Frame, Slice, Wanted, earliest, newest, since, whole_text, write_slice
from hyperhive.web.forms import refused
from hyperhive.web.guard import Way, agent_of, person_of
from hyperhive.web.journal import ReadJournal, journal_endpoint
from hyperhive.web.live import place_after
from hyperhive.web.shell import shell

MODULES = (
    "agent.js",
    "ask.js",
    "away.js",
    "dock.js",
    "forms.js",
    "glyphs.js",
    "held.js",
    "journal.js",
    "key.js",
    "keys.js",
    "live.js",
    "login.js",
    "morph.js",
    "parse.js",
    "sections.js",
    "times.js",
    "turns.js",
    "vendor/idiomorph/idiomorph.esm.js",
)
MAX_QUERY_CHARACTERS = 200
_NUMBER = re.compile(r"[0-9]{1,18}")
_ENTRY = re.compile(r"[0-9]{1,18}-[0-9]{1,6}")

Answer = Callable[[Request], Awaitable[ASGIApp]]


@attrs.frozen(kw_only=True)
class AgentPage:
    """What the page needs of the daemon."""

    dispatcher: Dispatcher
    history: History
    acts: Acts
    journal: ReadJournal
    stream_file: Callable[[str], Path]
    """Where an agent's turn stream is kept."""
    model: Callable[[str], str | None]
    """What an agent's session runs on where the operator has chosen nothing."""
    port: Callable[[str], int | None]
    """Which web port an agent has."""
    house: str
    """What the hive is called."""
    errors: defaultdict[str, Errors] = attrs.field(factory=lambda: defaultdict(Errors), init=False)
    """By agent; of those whose pages were asked for, which exist."""
    feeds: TurnFeeds = attrs.field(init=False)

    @feeds.default
    def _feeds(self) -> TurnFeeds:
        return TurnFeeds(self.dispatcher, self.stream_file)

    def reader(self, name: str) -> StreamReader:
        """Return an agent's stream."""
        return StreamReader(self.stream_file(name))

    async def parts(self, request: Request) -> Parts:
        """Return what there is to show of an agent; its stream is read beside the event loop."""
        name = agent_of(request)
        events = await asyncio.to_thread(self.reader(name).before, None, LOOK_BACK)
        return Parts(
            name=name,
            hive=self.dispatcher.hive,
            history=self.history,
            model=self.model(name),
            context=context_of(reversed(events)),
            base=_base(request),
            may_act=person_of(request).may_act,
            port=self.port(name),
            house=self.house,
        )

    async def slice(self, request: Request) -> str:
        """Return some of an agent's stream as markup. Raises `Invalid`."""
        name, given = agent_of(request), request.query_params
        wanted, after = _wanted(request), _number(request, "after")
        if after is not None:
            part = await asyncio.to_thread(since, self.reader(name), after, wanted)
        else:
            part = await asyncio.to_thread(newest, self.reader(name), _number(request, "before"), wanted)
        errors = await asyncio.to_thread(self.errors[name].count, self.reader(name))
        frame = self._frame(request, part, errors, whole="before" not in given)
        return await asyncio.to_thread(write_slice, part, frame)

    def _frame(self, request: Request, part: Slice, errors: int, *, whole: bool) -> Frame:
        name, begins = agent_of(request), earliest(part)
        turns = self.history.turns(name, 2) if begins is None else self.history.turns_from(name, begins)
        session = self.dispatcher.hive.sessions.get(name)
        status = session.status if session is not None else None
        return Frame(turns=turns, status=status, errors=errors, whole=whole)

    async def show_state(self, request: Request) -> Response:
        """Answer with the page's content for programs."""
        return JSONResponse((await self.parts(request)).state())

    async def show_page(self, request: Request) -> Response:
        """Answer with the page, or with some of its parts."""
        only = request.query_params.get("only")
        parts = await self.parts(request)
        if only is None:
            return _html(parts.whole())
        names = only.split(",")
        if unknown := [name for name in names if name not in PARTS]:
            raise NotFound(f"no part {unknown[0][:80]!r}; there are: {', '.join(PARTS)}")
        return _html(parts.write(dict.fromkeys(names)))

    async def show_stream(self, request: Request) -> Response:
        """Answer with some of the stream: ``before`` or ``after`` an event, of a ``kind``, with ``q`` in it."""
        return _html(await self.slice(request))

    async def show_text(self, request: Request) -> Response:
        """Answer with the whole of what is shown shortened, as plain text."""
        entry, of = request.query_params.get("entry", ""), request.query_params.get("of", "")
        if not _ENTRY.fullmatch(entry):
            raise Invalid(f"entry is {entry[:80]!r}; it is an event's id and a place, such as 87-0")
        text = await asyncio.to_thread(whole_text, self.reader(agent_of(request)), entry, of)
        if text is None:
            raise NotFound("this is no longer kept; streams are trimmed")
        return PlainTextResponse(text.encode(errors="replace"))

    async def show_events(self, request: Request) -> ASGIApp:
        """Open the live stream; ``brief=1`` for one that only says that there is more."""
        feed = self.feeds.of(agent_of(request))
        brief = request.query_params.get("brief") == "1"
        return TurnStream(feed, place_after(request), request.scope["still"], brief=brief)

    def known(self, answer: Answer) -> Answer:
        """Refuse what is about no agent: a name becomes part of a path."""

        async def guarded(request: Request) -> ASGIApp:
            name = agent_of(request)
            if name not in self.dispatcher.hive.agents:
                return refused(NotFound(f"no agent {name[:80]!r}"))
            try:
                return await answer(request)
            except Refused as refusal:
                return refused(refusal)
            except sqlite3.Error as error:
                return refused(Unavailable(f"the stream of {name} cannot be read now: {error}"))

        return guarded


def agent_ways(holds: AgentPage) -> list[Way]:
    """Return the ways of one agent's page, from its own root."""
    empty = shell("agent", MODULES, title="hyperhive", styles=("hive.css", "agent.css"))

    async def show_shell(request: Request) -> Response:
        return empty.answer(request)

    looks: dict[str, Answer] = {
        "/api/state": holds.show_state,
        "/api/journal": journal_endpoint(holds.journal),
        "/page": holds.show_page,
        "/stream": holds.show_stream,
        "/stream/text": holds.show_text,
        "/events": holds.show_events,
    }
    return [
        Way(path="/", who=Who.PUBLIC, answer=show_shell),
        *(Way(path=path, who=Who.VIEWER, answer=holds.known(answer)) for path, answer in looks.items()),
        *(
            Way(path=path, who=Who.OPERATOR, answer=holds.known(act), method="POST")
            for path, act in holds.acts.of_agent().items()
        ),
    ]


def _html(markup: str) -> Response:
    return HTMLResponse(markup.encode(errors="replace"))


def _base(request: Request) -> str:
    """Return what the page's own addresses begin with."""
    return "" if "agent" in request.scope else f"/agent/{agent_of(request)}"


def _number(request: Request, name: str) -> int | None:
    given = request.query_params.get(name)
    if given is None:
        return None
    if not _NUMBER.fullmatch(given):
        raise Invalid(f"{name} is {given[:80]!r}; an event's id is right")
    return int(given)


def _wanted(request: Request) -> Wanted:
    kind, query = request.query_params.get("kind", ""), request.query_params.get("q", "").strip()
    if kind and kind not in KINDS:
        raise Invalid(f"kind is {kind[:80]!r}; it is one of {', '.join(KINDS)}, or empty")
    if len(query) > MAX_QUERY_CHARACTERS:
        raise Invalid(f"a search for {len(query)} characters; at most {MAX_QUERY_CHARACTERS} are allowed")
    return Wanted(kind=kind, query=query)
