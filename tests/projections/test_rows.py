"""Rows: open ones by key, and by the first field of a key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hyperhive.projections.projection import Rows

keys = st.tuples(st.sampled_from("abc"), st.integers(0, 4))


@given(changes=st.lists(st.tuples(keys, st.booleans()), max_size=40))
def test_groups_are_the_rows(changes: list[tuple[tuple[str, int], bool]]) -> None:
    """The groups together are all rows, each in the order in which its key first came, and empty ones are gone."""
    rows = Rows(grouped=True)
    for number, (key, put) in enumerate(changes):
        if put:
            rows.put(key, number)
        else:
            rows.drop(key)
    for first in "abc":
        expected = [(key, row) for key, row in rows.items() if key[0] == first]
        assert list(rows.group(first).items()) == expected
    assert rows._groups is not None
    assert all(rows._groups.values())


def test_ungrouped() -> None:
    """Rows with a plain key need no groups; dropping what is not there is no error."""
    rows = Rows()
    rows.put("a", 1)
    rows.drop("b")
    assert rows == {"a": 1}
    rows.drop("a")
    assert rows == {}
