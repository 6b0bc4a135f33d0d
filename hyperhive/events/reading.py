"""Reading the log as it lies in the file: for people and scripts, also while a daemon writes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import attrs
import msgspec

from hyperhive.events.envelope import rfc3339
from hyperhive.events.log import COLUMNS

FOLLOW_SECONDS = 0.1
"""Between two looks at whether the file has changed (a pragma that reads one page)."""


@attrs.frozen(kw_only=True)
class Selection:
    """Which facts to read; a stream may be a category with an asterisk, such as ``agent-*``."""

    stream: str | None = None
    types: tuple[str, ...] = ()
    after: int = 0

    def where(self) -> tuple[str, list[Any]]:
        """Return the condition as SQL, without the position, and its parameters."""
        terms, parameters = [], []
        if self.stream is not None:
            terms.append("stream GLOB ?" if self.stream.endswith("*") else "stream = ?")
            parameters.append(self.stream)
        if self.types:
            terms.append(f"type IN ({', '.join('?' * len(self.types))})")
            parameters.extend(self.types)
        return "".join(f" AND {term}" for term in terms), parameters


def select(
    connection: sqlite3.Connection, selection: Selection, *, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yield facts as plain values, oldest first; with a limit the newest so many. Data is not decoded into classes."""
    condition, parameters = selection.where()
    inner = f"SELECT {COLUMNS}, hex(hash) FROM events WHERE position > ?{condition}"  # noqa: S608 - parameters are bound
    parameters = [selection.after, *parameters]
    sql = f"{inner} ORDER BY position"
    if limit is not None:
        sql = f"SELECT * FROM ({inner} ORDER BY position DESC LIMIT ?) ORDER BY position"  # noqa: S608 - as above
        parameters.append(limit)
    for row in connection.execute(sql, parameters):
        yield {
            "position": row[0],
            "stream": row[1],
            "version": row[2],
            "type": row[3],
            "at": rfc3339(row[4]),
            "actor": row[5],
            "correlation": row[6],
            "causation": row[7],
            "data": msgspec.json.decode(row[8]),
            "hash": row[9].lower(),
        }


def follow(connection: sqlite3.Connection, selection: Selection) -> Iterator[dict[str, Any]]:
    """Yield facts after the selection's position as they are committed, without end."""
    version = None
    while True:
        now = connection.execute("PRAGMA data_version").fetchone()[0]
        if now == version:
            time.sleep(FOLLOW_SECONDS)
            continue
        version = now
        for fact in select(connection, selection):
            selection = attrs.evolve(selection, after=fact["position"])
            yield fact
