"""Which closed rows are old enough to be forgotten."""

from __future__ import annotations

import sqlite3

import attrs

from hyperhive.projections.projection import Projection


@attrs.frozen(kw_only=True)
class Due:
    """``count`` closed rows that a `Sweep` up to ``before`` takes; more may be due after them."""

    before: int
    count: int


def due(connection: sqlite3.Connection, projection: Projection, *, before: int, most: int) -> Due | None:
    """Find the oldest closed rows from before a moment, about ``most`` of them; None where there are none.

    What was closed in the same microsecond goes together, so that there may be some more.
    """
    oldest = sorted(
        at
        for column in projection.swept
        for (at,) in connection.execute(
            f"SELECT {column} FROM {projection.name} WHERE {column} < ? AND NOT is_open ORDER BY {column} LIMIT ?",  # noqa: S608 - ours
            (before, most),
        )
    )
    if not oldest:
        return None
    if len(oldest) < most:
        return Due(before=before, count=len(oldest))
    until = oldest[most - 1] + 1
    count = sum(
        connection.execute(
            f"SELECT count(*) FROM {projection.name} WHERE {column} < ? AND NOT is_open",  # noqa: S608 - ours
            (until,),
        ).fetchone()[0]
        for column in projection.swept
    )
    return Due(before=until, count=count)
