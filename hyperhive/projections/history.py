"""What the tables know beyond the open rows in memory: read on demand, newest first."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hyperhive.events.log import read_only
from hyperhive.projections.approvals import APPROVALS, Approval
from hyperhive.projections.messages import MESSAGES, Message
from hyperhive.projections.mirror import read_rows
from hyperhive.projections.questions import QUESTIONS, Question

_ENVELOPE = "position, stream, type, at, actor"
Envelope = tuple[int, str, str, int, str]


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
        """Return position, stream, type, time and actor of the facts after a position, oldest first."""
        sql = f"SELECT {_ENVELOPE} FROM events WHERE position > ? ORDER BY position LIMIT ?"  # noqa: S608 - ours
        return self._connection.execute(sql, (after, limit)).fetchall()

    def newest(self, limit: int) -> list[Envelope]:
        """Return the same of the newest facts, newest first."""
        sql = f"SELECT {_ENVELOPE} FROM events ORDER BY position DESC LIMIT ?"  # noqa: S608 - ours
        return self._connection.execute(sql, (limit,)).fetchall()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
