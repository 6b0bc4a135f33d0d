"""One table of a scenario file: reads typed keys, and says which key is wrong and what would be right."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import attrs

C = TypeVar("C", bound=str)


class ScenarioError(Exception):
    """A scenario that cannot be used; the text names the file, the rule, the key, and what would be right."""


@attrs.frozen
class Table:
    """A table and where it stands, such as ``bees.toml: rule 2``."""

    raw: Mapping[str, Any]
    source: str
    place: str = ""

    @property
    def where(self) -> str:
        """How errors call this table."""
        return f"{self.source}: {self.place}" if self.place else self.source

    def called(self, place: str) -> Table:
        """Give the same table under another name."""
        return attrs.evolve(self, place=place)

    def wrong(self, key: str, right: str) -> ScenarioError:
        """Build the error for a key."""
        return ScenarioError(f"{self.where}: key {key!r} {right}")

    def only(self, known: Iterable[str]) -> None:
        """Refuse keys that are not known."""
        known = list(known)
        for key in self.raw:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
                raise self.wrong(key, f"is unknown; {hint}")

    def text(self, key: str) -> str | None:
        """Read a string."""
        value = self.raw.get(key)
        if value is not None and not isinstance(value, str):
            raise self._type(key, 'a string, such as "…"')
        return value

    def flag(self, key: str) -> bool | None:
        """Read true or false."""
        value = self.raw.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._type(key, "true or false")
        return value

    def number(self, key: str) -> float | None:
        """Read a number that is not negative."""
        value = self.raw.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise self._type(key, "a number of at least 0, such as 0.5")
        return float(value)

    def whole(self, key: str, least: int) -> int | None:
        """Read a whole number."""
        value = self.raw.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise self._type(key, f"a whole number of at least {least}")
        return value

    def choice(self, key: str, choices: tuple[C, ...]) -> C | None:
        """Read one of a few words."""
        value = self.raw.get(key)
        if value is None:
            return None
        for choice in choices:
            if value == choice:
                return choice
        raise self._type(key, f"one of {', '.join(choices)}")

    def regex(self, key: str) -> re.Pattern[str] | None:
        """Read a regular expression; ^ and $ stand for line ends."""
        value = self.text(key)
        if value is None:
            return None
        try:
            return re.compile(value, re.MULTILINE)
        except re.error as error:
            raise self.wrong(key, f"is not a regular expression: {error}; a literal \\ or bracket needs a \\") from None

    def names(self, key: str) -> tuple[str, ...] | None:
        """Read one name or a list of names."""
        value = self.raw.get(key)
        if value is None:
            return None
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
            raise self._type(key, 'a name or a list of names, such as "coder" or ["coder", "reviewer"]')
        return tuple(names)

    def table(self, key: str) -> Table | None:
        """Read a table inside this one."""
        value = self.raw.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._type(key, "a table, such as { … }")
        return Table(value, self.source, f"{self.place}: {key}".removeprefix(": "))

    def tables(self, key: str) -> tuple[Table, ...]:
        """Read an array of tables inside this one; none is an empty one."""
        value = self.raw.get(key, [])
        if not isinstance(value, list) or not all(isinstance(inner, dict) for inner in value):
            raise self._type(key, f"an array of tables, each written under [[{key}]]")
        places = (f"{self.place}: {key} {number}".removeprefix(": ") for number in range(1, len(value) + 1))
        return tuple(Table(inner, self.source, place) for inner, place in zip(value, places, strict=True))

    def plain(self) -> dict[str, Any]:
        """Give the table as JSON can carry it; refuses dates and times, which JSON does not know."""
        self._check_plain(self.raw, "")
        return dict(self.raw)

    def _check_plain(self, value: object, key: str) -> None:
        match value:
            case Mapping():
                for name, inner in value.items():
                    self._check_plain(inner, f"{key}.{name}".removeprefix("."))
            case list():
                for inner in value:
                    self._check_plain(inner, key)
            case float() if not math.isfinite(value):
                raise self.wrong(key, f"is {value}, which JSON does not know; a number is finite")
            case str() | bool() | int() | float():
                pass
            case _:
                raise self.wrong(key, f'is a date or time, {value}; a tool\'s input is JSON: write "{value}"')

    def _type(self, key: str, right: str) -> ScenarioError:
        return self.wrong(key, f"is {self.raw[key]!r}; it must be {right}")
