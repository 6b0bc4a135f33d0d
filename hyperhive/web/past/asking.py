"""What the address of the past page asks for: a moment, a filter, how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Literal, get_args
from zoneinfo import ZoneInfo

import attrs

from hyperhive.commands.errors import Invalid
from hyperhive.events import codec
from hyperhive.replay.past import Filter, Past

Causes = Literal["tree", "list", "json"]
Timeline = Literal["list", "json"]
Span = Literal["1h", "6h", "24h", "7d", "all"]
SPANS: Mapping[str, int | None] = {
    "1h": 3_600_000_000,
    "6h": 21_600_000_000,
    "24h": 86_400_000_000,
    "7d": 604_800_000_000,
    "all": None,
}
"""In microseconds."""
LONGEST = 200
"""Characters of one field."""


@attrs.frozen(kw_only=True)
class Asked:
    """One view of the past; two people with the same one see the same."""

    at: str = ""
    """A moment as people write it, or a position; empty for the newest one."""
    zone: tzinfo = UTC
    """Whose times of day are meant."""
    agent: str = ""
    type: str = ""
    actor: str = ""
    text: str = ""
    causes: Causes = "tree"
    timeline: Timeline = "list"
    span: Span = "24h"

    @property
    def filter(self) -> Filter:
        """Which events are listed and stepped through."""
        return Filter(
            agent=self.agent or None,
            types=(self.type,) if self.type else (),
            actor=self.actor or None,
            text=self.text or None,
        )

    @property
    def filtered(self) -> bool:
        """Whether some are left out."""
        return self.filter != Filter()

    def position(self, past: Past) -> int:
        """Return the position that is meant."""
        if not self.at or self.at == "now":
            return past.head
        return past.position(self.at, now=datetime.now(UTC), zone=self.zone)


def read_asked(query: Mapping[str, str]) -> Asked:
    """Read an address; raises `Invalid`."""
    for name, value in query.items():
        if len(value) > LONGEST:
            raise Invalid(f"{name[:40]} has {len(value)} characters; {LONGEST} at the most are read")
    kind = query.get("type", "")
    if kind and kind not in codec.TYPES:
        raise Invalid(f"no event is of the type {kind[:80]!r}; such as ContainerCrashed is right")
    return Asked(
        at=query.get("at", "").strip(),
        zone=_zone(query.get("zone", "UTC"), number(query, "offset", default=0, least=-1_439, most=1_439)),
        agent=query.get("agent", "").strip(),
        type=kind,
        actor=query.get("actor", "").strip(),
        text=query.get("text", ""),
        causes=_one_of("causes", query.get("causes", "tree"), get_args(Causes)),  # type: ignore[arg-type]
        timeline=_one_of("timeline", query.get("timeline", "list"), get_args(Timeline)),  # type: ignore[arg-type]
        span=_one_of("span", query.get("span", "24h"), get_args(Span)),  # type: ignore[arg-type]
    )


def number(query: Mapping[str, str], name: str, *, default: int, least: int, most: int) -> int:
    """Read a whole number of an address; raises `Invalid`."""
    given = query.get(name)
    if given is None:
        return default
    digits = given.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19 and least <= int(given) <= most):
        raise Invalid(f"{name} is {given[:40]!r}; a number from {least} to {most} is right")
    return int(given)


def _one_of(name: str, given: str, known: tuple[str, ...]) -> str:
    if given not in known:
        raise Invalid(f"{name} is {given[:40]!r}; there are: {', '.join(known)}")
    return given


def _zone(name: str, offset: int) -> tzinfo:
    """Return a zone by its name; one that this machine does not know is so many minutes ahead of UTC, as it is now."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return timezone(timedelta(minutes=offset))
