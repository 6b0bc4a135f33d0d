"""A projection: a keyed collection of frozen rows, and one pure fold over facts.

A fold returns changes and changes nothing. Whoever applies them keeps the rows that are *open* (what decisions and
live views read) in memory and writes every changed row into the projection's table, so that memory follows the size of
the hive, not its age.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import attrs
import msgspec

from hyperhive.events.envelope import Recorded

Key = Any
"""A row's key: its one key field, or the tuple of them."""
Row = Any
Change = tuple["Key | Sweep", Row | None]
"""A row as it is now, or None where it is gone; a `Sweep` and None for all rows that it takes."""
Fold = Callable[["Rows", Recorded], Iterable[Change]]


class FrozenRow(msgspec.Struct, frozen=True, gc=False):
    """A row's base. A struct and no attrs class: folds spend their time on `evolve`, which is ten times as fast so.

    It holds no other rows, so that there is nothing in it for the garbage collector.
    """


@attrs.frozen
class Sweep:
    """Stands in the place of a key: every closed row whose ``column`` is less than ``before`` is gone.

    Closed rows stand in the table alone, where a fold does not see them. So it says which ones go, and whoever mirrors
    it removes them: the same rows in a live table and in one that is folded anew, because the table holds what the
    facts before this one made.
    """

    column: str
    before: int

    def takes(self, row: Row) -> bool:
        """Whether a closed row goes."""
        value = getattr(row, self.column)
        return value is not None and value < self.before


evolve = msgspec.structs.replace
"""A row with some of its fields changed."""


class Rows(dict[Key, Row]):
    """The open rows of a projection, by key; with more than one key field also grouped by the first."""

    def __init__(self, *, grouped: bool = False) -> None:
        super().__init__()
        self._grouped = grouped
        self._groups: dict[str, dict[Key, Row]] | None = None
        """Made when somebody first asks: a replay never does, and would spend a tenth of its time on them."""

    def group(self, first: str) -> Mapping[Key, Row]:
        """Return the open rows whose key begins with this, oldest first."""
        if self._groups is None:
            assert self._grouped  # noqa: S101 - only asked of projections with several key fields
            self._groups = {}
            for key, row in self.items():
                self._groups.setdefault(key[0], {})[key] = row
        return self._groups.get(first, {})

    def put(self, key: Key, row: Row) -> None:
        """Keep an open row."""
        self[key] = row
        if self._groups is not None:
            self._groups.setdefault(key[0], {})[key] = row

    def drop(self, key: Key) -> None:
        """Forget a row that is closed or gone, if it is here."""
        self.pop(key, None)
        if self._groups is not None and (group := self._groups.get(key[0])) is not None:
            group.pop(key, None)
            if not group:
                del self._groups[key[0]]


class Bulk(Protocol):
    """A projection's rows while many facts are folded that nobody mirrors.

    Most of what an agent at work does is overwritten by what it does next; it need not become a row meanwhile. A fact
    whose type is not in ``folds`` is folded as always, after `settle`.
    """

    @property
    def folds(self) -> Mapping[type, Callable[[Recorded], None]]:
        """What it takes, by type."""

    def settle(self) -> None:
        """Leave in the rows what the projection's own folds would have left there."""


def _is_packed(annotation: Any) -> bool:
    if isinstance(annotation, types.UnionType):
        return any(map(_is_packed, typing.get_args(annotation)))
    return typing.get_origin(annotation) is tuple or attrs.has(annotation)


def _always(_row: Row) -> bool:
    return True


@attrs.frozen(kw_only=True)
class Projection:
    """One view: its table's name, its row class, its key, and what each fact means for it."""

    name: str
    row: type[FrozenRow]
    key: tuple[str, ...]
    folds: Mapping[type, Fold]
    is_open: Callable[[Row], bool] = _always
    """Whether a row is still read by decisions and live views; a closed one is read from the table."""
    bulk: Callable[[Rows], Bulk] | None = None
    """How many facts at once are folded, where that pays; the rows come out the same."""
    swept: tuple[str, ...] = ()
    """The columns that a `Sweep` may name; each has an index, so that a sweep costs what it takes."""
    by_arrival: bool = False
    """Whether new rows grow with the last field of their key, whatever its first is, and few of them stay open: the
    table then keeps them in that order, on few pages, and finds the closed ones by the whole key as they close."""
    revision: int = 1
    """Counted up when a fold changes its meaning: a start then rebuilds the table from the log."""

    fields: tuple[str, ...] = attrs.field(init=False)
    packed: frozenset[str] = attrs.field(init=False)
    """The fields that hold tuples or values with fields of their own, which a table keeps as JSON."""
    values: Callable[[Row], tuple[Any, ...]] = attrs.field(init=False)
    """A row's values in the order of `fields`, as a table keeps them."""

    @fields.default
    def _fields(self) -> tuple[str, ...]:
        return self.row.__struct_fields__

    @packed.default
    def _packed(self) -> frozenset[str]:
        hints = typing.get_type_hints(self.row)
        return frozenset(name for name in self.fields if _is_packed(hints[name]))

    @values.default
    def _values(self) -> Callable[[Row], tuple[Any, ...]]:
        if not self.packed:
            return msgspec.structs.astuple
        at = [self.fields.index(name) for name in self.packed]

        def packing(row: Row) -> tuple[Any, ...]:
            values = list(msgspec.structs.astuple(row))
            for position in at:
                values[position] = msgspec.json.encode(values[position]).decode()
            return tuple(values)

        return packing

    @property
    def order(self) -> tuple[str, ...]:
        """The key's fields in the order in which the table keeps its rows."""
        return self.key[::-1] if self.by_arrival else self.key

    def empty(self) -> Rows:
        """Return no rows."""
        return Rows(grouped=len(self.key) > 1)
