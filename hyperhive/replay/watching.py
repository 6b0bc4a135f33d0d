"""A hive that is folded fact by fact, and looked at only when something that a predicate reads has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from harness.wire import MANAGER
from hyperhive.events.envelope import Recorded
from hyperhive.projections import views
from hyperhive.projections.hive import Changed, Hive
from hyperhive.projections.projection import Sweep
from hyperhive.replay.expression import Predicate
from hyperhive.replay.showing import State, crashed, inboxes, show

_VIEWS: dict[str, tuple[frozenset[str], Callable[[Hive], Any]]] = {
    "transients": (frozenset({"agents"}), views.transients),
    "tombstones": (frozenset({"agents"}), lambda hive: views.tombstone_rows(hive, {})),
    "crashed": (frozenset({"agents"}), crashed),
    "questions": (frozenset({"questions"}), lambda hive: views.state(hive)["questions"]),
    "approvals": (frozenset({"approvals"}), lambda hive: views.state(hive)["approvals"]),
    "frozen": (frozenset({"freeze"}), lambda hive: views.state(hive)["frozen"]),
    "inboxes": (frozenset({"messages"}), inboxes),
    "inbox": (frozenset({"messages"}), lambda hive: views.state(hive)["inbox"]),
    "parked": (frozenset({"messages"}), lambda hive: views.state(hive)["parked"]),
}
"""By view: the projections that it is made of, and how. Any other view is shown with the whole state, at every fact."""

_AGENTS = frozenset({"agents", "sessions", "messages", "configurations"})
"""What the rows of ``agents`` are made of; and of ``identity``, which is the same for all."""


class Watch:
    """Tells after each fact whether a predicate holds, and computes it again only where it may have changed."""

    def __init__(self, predicate: Predicate, hive: Hive) -> None:
        self._predicate = predicate
        self._hive = hive
        reads = predicate.reads
        known = reads is not None and reads <= {*_VIEWS, "agents", "position"}
        self._views = sorted(reads) if known and reads is not None else None
        self._always = self._views is None or "position" in self._views
        self._shown_of = frozenset[str]().union(*(_VIEWS[view][0] for view in self._views or () if view in _VIEWS))
        """The projections that the views looked at are made of, but for ``agents``."""
        self._row_of = _AGENTS if self._views is not None and "agents" in self._views else frozenset[str]()
        self._rows: dict[str, dict[str, Any]] = {}
        """Of the agents looked at, as they are shown."""
        self.looked = 0
        """How often the predicate was computed."""
        if self._row_of:
            for name in self._hive.agents:
                self._row_changed(name)
        self.holds = self._look()

    def take(self, fact: Recorded) -> bool:
        """Fold a fact; return whether the predicate holds after it."""
        if self._touched(self._hive.fold(fact)) or self._always:
            self.holds = self._look(fact.at)
        return self.holds

    def _touched(self, changed: Iterable[Changed]) -> bool:
        touched = False
        for projection, key, _ in changed:
            if projection.name in self._shown_of:
                touched = True
            if projection.name == "identity" and self._row_of:
                touched |= any([self._row_changed(name) for name in self._hive.agents])  # noqa: C419 - all of them, to be shown anew
            if projection.name in self._row_of and not isinstance(key, Sweep):
                touched |= self._row_changed(key[0] if isinstance(key, tuple) else key)
        return touched

    def _row_changed(self, name: str) -> bool:
        """Show an agent's row anew; return whether the predicate can see a difference."""
        wanted, fields = self._predicate.agents, self._predicate.fields
        if wanted is not None and name not in wanted:
            return False
        agent, before = self._hive.agents.get(name), self._rows.get(name)
        if agent is None or agent.state not in views.WITH_CONTAINER:
            return self._rows.pop(name, None) is not None
        row = views.agent_row(self._hive, agent)
        self._rows[name] = row
        if before is None or fields is None:
            return before != row
        return any(field in row and row[field] != before[field] for field in fields)

    def _look(self, at: int | None = None) -> bool:
        self.looked += 1
        if self._views is None:
            return self._predicate.holds(show(self._hive, at))
        shown: State = {"position": self._hive.position}
        for view in self._views:
            if view in _VIEWS:
                shown[view] = _VIEWS[view][1](self._hive)
        if self._row_of:
            shown["agents"] = [self._rows[name] for name in sorted(self._rows, key=_order)]
        return self._predicate.holds(shown)


def _order(name: str) -> tuple[bool, str]:
    return name != MANAGER, name
