"""A page's sections: each a pure function of what is so, rendered once for all who may see the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hyperhive._version import version
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.events import codec
from hyperhive.events.envelope import Recorded
from hyperhive.projections.approvals import Approval
from hyperhive.projections.history import History
from hyperhive.projections.hive import PROJECTIONS, Hive
from hyperhive.projections.messages import Message
from hyperhive.projections.questions import Question
from hyperhive.projections.views import Kept
from hyperhive.web.held import Held

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
TEMPLATES.globals["release"] = version()


class Told(Protocol):
    """What the log and the tables tell beyond the open rows: `History` of the present, and as much of a moment past."""

    def recent(self, name: str, limit: int) -> list[Message]:
        """Return the newest messages of an inbox."""

    def count(self, name: str) -> int:
        """Return how many messages an inbox holds."""

    def resolved(self, limit: int) -> list[Question]:
        """Return the questions that were resolved last."""

    def decided(self, limit: int) -> list[Approval]:
        """Return the approvals that were decided last."""

    def activity(self, limit: int) -> list[Recorded]:
        """Return the newest facts."""

    def trouble(self, name: str) -> Recorded | None:
        """Return the newest fact that says what went wrong with an agent."""

    def actors(self, positions: Iterable[int]) -> Mapping[int, str]:
        """Return whose facts these are."""

    def has_written(self, actor_role: str) -> bool:
        """Whether anybody of this role has ever sent a message."""


@attrs.frozen(kw_only=True)
class Sight:
    """What a section may look at."""

    hive: Hive
    history: Told
    kept: Mapping[str, Kept]
    may_act: bool
    """Whether who looks may also do something; forms stand only there."""


def _nothing(_sight: Sight) -> Hashable:
    return None


@attrs.frozen(kw_only=True)
class Section:
    """One section: what its template ``<page>/<name>.html`` is given, and what that is made of."""

    name: str
    view: Callable[[Sight], Mapping[str, Any]]
    reads: frozenset[str] | None
    """The projections it is made of, by name; None where it shows the log itself, which every fact changes."""
    beside: Callable[[Sight], Hashable] = _nothing
    """What it is made of besides, where that is not in the log (such as today's date)."""

    def is_touched_by(self, event: type) -> bool:
        """Whether a fact of this type may change it."""
        return self.reads is None or any(view.name in self.reads and event in view.folds for view in PROJECTIONS)


Reading = Callable[[], tuple[History, Mapping[str, Kept]]]


@attrs.define
class _Rendered:
    position: int
    beside: Hashable
    markup: str
    held: Held


class Page:
    """The sections of one page, each rendered again only when what it is made of has changed."""

    def __init__(
        self,
        name: str,
        sections: Sequence[Section],
        dispatcher: Dispatcher,
        history: History,
        kept: Callable[[], Mapping[str, Kept]],
    ) -> None:
        self.name = name
        self.sections = {section.name: section for section in sections}
        self._dispatcher = dispatcher
        self._history = history
        self._kept = kept
        self._touched_at = dict.fromkeys(self.sections, dispatcher.hive.position)
        """The last position that may have changed a section."""
        self._touches = {
            name: tuple(section.name for section in sections if section.is_touched_by(event))
            for name, event in codec.TYPES.items()
        }
        self._rendered: dict[tuple[str, bool], _Rendered] = {}
        self._whole: dict[tuple[bool, tuple[str, ...]], tuple[tuple[Held, ...], Held]] = {}
        dispatcher.listen(self._note)

    def touches(self, type_name: str) -> tuple[str, ...]:
        """Return the sections that a fact of this type may change; all of them for a type of an older release."""
        return self._touches.get(type_name, tuple(self.sections))

    def _note(self, facts: list[Recorded]) -> None:
        for fact in facts:
            for name in self.touches(fact.type):
                self._touched_at[name] = fact.position

    def sight(self, *, may_act: bool) -> Sight:
        """Return what there is to see now."""
        return Sight(hive=self._dispatcher.hive, history=self._history, kept=self._kept(), may_act=may_act)

    def section(self, name: str, *, may_act: bool) -> Held:
        """Return one section as it stands."""
        return self._section(self.sections[name], self.sight(may_act=may_act)).held

    def some(self, names: Sequence[str], *, may_act: bool) -> Held:
        """Return several sections, one after the other, without what stands around them."""
        sight = self.sight(may_act=may_act)
        rendered = [self._section(self.sections[name], sight) for name in names]
        return self._together((may_act, tuple(names)), rendered, lambda: "\n".join(each.markup for each in rendered))

    def whole(self, *, may_act: bool) -> Held:
        """Return the whole page: its template ``<page>.html`` with every section in its place."""
        sight = self.sight(may_act=may_act)
        rendered = {name: self._section(section, sight) for name, section in self.sections.items()}

        def write() -> str:
            markup = {name: Markup(each.markup) for name, each in rendered.items()}  # noqa: S704 - came out of autoescape
            return TEMPLATES.get_template(f"{self.name}.html").render(sections=markup, may_act=may_act)

        return self._together((may_act, ()), list(rendered.values()), write)

    def _section(self, section: Section, sight: Sight) -> _Rendered:
        position, beside = self._touched_at[section.name], section.beside(sight)
        known = self._rendered.get((section.name, sight.may_act))
        if known is not None and (known.position, known.beside) == (position, beside):
            return known
        template = TEMPLATES.get_template(f"{self.name}/{section.name}.html")
        markup = template.render(section.view(sight), may_act=sight.may_act)
        held = known.held if known is not None and known.markup == markup else _held(markup)
        found = _Rendered(position, beside, markup, held)
        self._rendered[section.name, sight.may_act] = found
        return found

    def _together(self, key: tuple[bool, tuple[str, ...]], rendered: list[_Rendered], write: Callable[[], str]) -> Held:
        parts = tuple(each.held for each in rendered)
        known = self._whole.get(key)
        if known is not None and all(mine is theirs for mine, theirs in zip(known[0], parts, strict=True)):
            return known[1]
        held = _held(write())
        self._whole[key] = (parts, held)
        return held


def _held(markup: str) -> Held:
    return Held(body=markup.encode(errors="replace"), media_type="text/html")
