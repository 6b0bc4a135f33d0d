"""What the tables know beyond the open rows in memory: read on demand, newest first."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hyperhive.events.log import read_only
from hyperhive.events.rows import Rows
from hyperhive.projections.approvals import APPROVALS, Approval
from hyperhive.projections.messages import MESSAGES, Message
from hyperhive.projections.mirror import read_rows
from hyperhive.projections.questions import QUESTIONS, Question

Envelope = tuple[int, str, str, int, str]
"""Position, stream, type, time and actor."""


class History:
    """A reader's connection to the hive's file; it sees what is committed."""

    def __init__(self, path: Path) -> None:
        self._connection: sqlite3.Connection = read_only(path)

    def recent(self, name: str, limit: int) -> list[Message]:
        """Return the newest messages of an inbox, delivered or not."""
        clause = 'WHERE "to" = ? ORDER BY id DESC LIMIT ?'
        return [row for _, row in read_rows(self._connection, MESSAGES, clause, (name, limit))]

    def question(self, id_: int) -> Question | None:
        """Return one question, resolved or not; None where there is none."""
        return next((row for _, row in read_rows(self._connection, QUESTIONS, "WHERE id = ?", (id_,))), None)

    def questions(self, limit: int) -> list[Question]:
        """Return the newest questions, resolved or not."""
        return [row for _, row in read_rows(self._connection, QUESTIONS, "ORDER BY id DESC LIMIT ?", (limit,))]

    def approval(self, id_: int) -> Approval | None:
        """Return one approval, decided or not; None where there is none."""
        return next((row for _, row in read_rows(self._connection, APPROVALS, "WHERE id = ?", (id_,))), None)

    def approvals(self, limit: int) -> list[Approval]:
        """Return the newest approvals, decided or not."""
        return [row for _, row in read_rows(self._connection, APPROVALS, "ORDER BY id DESC LIMIT ?", (limit,))]

    def envelopes(self, after: int, limit: int) -> list[Envelope]:
        """Return so many facts after a position without what they say, oldest first; archived ones, too.

        Raises `SegmentLost` where these cannot be read.
        """
        rows = Rows(self._connection).between(after, after + limit)
        return [(position, stream, type_name, at, actor) for position, stream, _, type_name, at, actor, *_ in rows]

    def newest(self, limit: int) -> list[Envelope]:
        """Return the newest facts without what they say, newest first."""
        head = int(self._connection.execute("SELECT coalesce(max(position), 0) FROM facts").fetchone()[0])
        return self.envelopes(max(0, head - limit), limit)[::-1]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
