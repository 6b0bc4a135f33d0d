"""A walk through the past: where one stands, where one may go from there, and the page that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import attrs
import msgspec

from hyperhive.replay.past import Filter, Past, Scene

KEYS = "→ forward  ← back  j jump  a agent  t next of type  T previous  c crash  g first  G last  ? help  q quit"
HELP = (
    "→ l n space   the next event           ← h p   the one before",
    "PgDn PgUp     ten events on, back      g G     the first, the last",
    "j             jump to a position or a time (10:42, yesterday 18:00, -15m)",
    "a             only events of one agent (empty: of all)",
    "t T           the next, the previous event of a type (empty: the type of before)",
    "c             the next crash",
    "v             the event and its changes, or the whole hive",
    "q             leave",
)


class Nowhere(Exception):  # noqa: N818
    """There is no such event; one stays where one is."""


class Walk:
    """Where one stands. Each way to go either arrives or raises `Nowhere`."""

    def __init__(self, past: Past, position: int, *, agent: str | None = None) -> None:
        self._past = past
        self.position = position
        self.agent = agent
        self.type: str | None = None
        """The type that was looked for last."""

    @property
    def head(self) -> int:
        """Where the log ends now."""
        return self._past.head

    def scene(self) -> Scene:
        """Return what is to be seen here."""
        return self._past.scene(self.position)

    def forward(self, steps: int = 1) -> None:
        """Go on by some events, as far as there are any."""
        self._go(Filter(agent=self.agent), steps, back=False)

    def back(self, steps: int = 1) -> None:
        """Go back by some events, as far as there are any."""
        self._go(Filter(agent=self.agent), steps, back=True)

    def first(self) -> None:
        """Go to the first event."""
        self.position = 0
        self.forward()

    def last(self) -> None:
        """Go to the last event."""
        self.position = self.head + 1
        self.back()

    def jump(self, text: str, *, now: datetime) -> None:
        """Go to a position or a time."""
        self.position = self._past.position(text, now=now)

    def only(self, agent: str) -> None:
        """Go from one event of an agent to the other from now on; of all with an empty name. One stays here."""
        self.agent = agent or None

    def of_type(self, type_name: str, *, back: bool = False) -> None:
        """Go to the next (or previous) event of a type; without one, of the type of before."""
        wanted = type_name or self.type
        if wanted is None:
            raise Nowhere("no type yet; name one, such as ContainerCrashed")
        self.type = wanted
        self._go(Filter(agent=self.agent, types=(wanted,)), 1, back=back)

    def _go(self, wanted: Filter, steps: int, *, back: bool) -> None:
        if wanted == Filter():
            goal = max(1, self.position - steps) if back else min(self.head, self.position + steps)
            if goal == self.position or goal < 1:
                raise Nowhere("this is the first event" if back else "this is the last event so far")
            self.position = goal
            return
        place: dict[str, Any] = {"before": self.position} if back else {"after": self.position}
        found = self._past.events(wanted, most=steps, **place).events
        if not found:
            what = " ".join(["event", *(f"of {name}" for name in (wanted.agent, *wanted.types) if name)])
            raise Nowhere(f"no {what} {'before' if back else 'after'} {self.position}")
        self.position = found[-1].position


@attrs.frozen(kw_only=True)
class View:
    """How much there is room for, and what stands in the last line."""

    height: int
    last_line: str = KEYS
    whole: bool = False
    """The whole hive in the place of one event and its changes."""
    help: bool = False


def page(walk: Walk, scene: Scene, view: View, *, local: Callable[[str], str]) -> list[str]:
    """Return the lines of a page, as many as there is room for; not yet cut to the width.

    ``local`` writes an RFC 3339 time as people here do.
    """
    state = scene.state
    when = f" · {local(state['at'])}" if state["at"] else ""
    only = f" · only {walk.agent}" if walk.agent else ""
    body = list(HELP if view.help else _hive(scene) if view.whole else _event(scene))
    room = max(0, view.height - 2)
    if len(body) > room:
        body = [*body[: room - 1], f"… {len(body) - room + 1} more lines (v, or a larger window)"] if room else []
    filler = [""] * (room - len(body))
    title = f"PAST · position {walk.position} of {walk.head}{when}{only}"
    return [title, *body, *filler, view.last_line][: view.height]


def _event(scene: Scene) -> Iterator[str]:
    event = scene.event
    if event is None:
        yield "before everything"
        return
    cause = f", because of {event.causation}" if event.causation is not None else ""
    yield ""
    yield event.words
    yield f"{event.type} in {event.stream}, by {event.actor}{cause}"
    yield ""
    yield "changed:" if scene.changes else "changed nothing in any view"
    yield from (f"  {change.words}" for change in scene.changes)
    yield ""
    yield "data:"
    for name, value in event.data.items():
        shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        first, *rest = shown.split("\n")
        yield f"  {name}: {first}"
        yield from (f"  {'':{len(name)}}  {line}" for line in rest)
    yield ""
    yield from _agents(scene)


def _hive(scene: Scene) -> Iterator[str]:
    yield ""
    yield from _agents(scene)
    state = scene.state
    yield from (f"{row['name']}: {row['pending'] or row['error']}" for row in state["transients"])
    yield from (f"tombstone: {row['name']}" for row in state["tombstones"])
    yield from (f"question {row['id']} of {row['asker']}: {row['question']}" for row in state["questions"])
    yield from (f"your inbox: {row['id']} from {row['from']}: {row['body']}" for row in state["inbox"])
    for name, rows in state["inboxes"].items():
        yield from (f"inbox of {name}: {row['id']} from {row['from']}: {row['body']}" for row in rows)


def _agents(scene: Scene) -> Iterator[str]:
    if scene.state["frozen"]:
        yield "the hive is frozen"
    for row in scene.state["agents"]:
        flags = [word for word in ("paused", "quarantined", "needs_login") if row[word]]
        standing = f"{row['pending']}…" if row["pending"] else row["state"]
        crashed = ["crashed"] if row["name"] in scene.state["crashed"] else []
        said = row["status_text"] or ""
        mail = f"{row['undelivered']} waiting" if row["undelivered"] else ""
        yield f"  {row['name']:<20} {', '.join([standing, *crashed, *flags]):<24} {mail:<14} {said}"
