"""What the tables know beyond the open rows in memory: read on demand, newest first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from hyperhive.events import agents, codec
from hyperhive.events.envelope import Recorded
from hyperhive.events.log import read, read_only
from hyperhive.events.messages import MessagesAcknowledged, MessagesHandedOver
from hyperhive.events.reading import Selection, select
from hyperhive.events.rows import Rows
from hyperhive.events.turns import HarnessStarted
from hyperhive.projections.approvals import APPROVALS, Approval
from hyperhive.projections.messages import MESSAGES, Message
from hyperhive.projections.mirror import read_rows
from hyperhive.projections.questions import QUESTIONS, Question
from hyperhive.projections.turns import TURNS, Turn

Envelope = tuple[int, str, str, int, str]
"""Position, stream, type, time and actor."""

_NO_END = 2**62
_COLUMNS = "position, stream, version, type, at, actor, correlation, causation, data"

_NOISE = (HarnessStarted, MessagesAcknowledged, MessagesHandedOver)
"""Facts whose sentences are always quiet: not even read for the activity."""
_TROUBLE = tuple(
    kind.__name__
    for kind in vars(agents).values()
    if isinstance(kind, type)
    and (kind in (agents.ContainerCrashed, agents.AgentQuarantined) or issubclass(kind, agents.Failed))
)


class History:
    """A reader's connection to the hive's file; it sees what is committed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        """The hive's file."""
        self._connection: sqlite3.Connection = read_only(path)

    def recent(self, name: str, limit: int, *, before: int = _NO_END) -> list[Message]:
        """Return the newest messages of an inbox, delivered or not; with ``before`` of those with smaller ids."""
        found: dict[int, Message] = {}
        # The open ones first: one that is closed between the two looks is found by both.
        for where in ("messages_open WHERE is_open", "messages_closed WHERE NOT is_open"):
            clause = f'INDEXED BY {where} AND "to" = ? AND id < ? ORDER BY id DESC LIMIT ?'
            found.update(
                (row.id, row) for _, row in read_rows(self._connection, MESSAGES, clause, (name, before, limit))
            )
        return [found[id_] for id_ in sorted(found, reverse=True)[:limit]]

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

    def has_configured(self, agent: str) -> bool:
        """Whether anybody has ever asked for a configuration of an agent, however that was decided."""
        sql = 'SELECT 1 FROM approvals WHERE agent = ? AND "commit" IS NOT NULL LIMIT 1'
        return self._connection.execute(sql, (agent,)).fetchone() is not None

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

    def resolved(self, limit: int) -> list[Question]:
        """Return the questions that were resolved last, the newest first."""
        clause = "WHERE resolved_at IS NOT NULL ORDER BY resolved_at DESC LIMIT ?"
        return [row for _, row in read_rows(self._connection, QUESTIONS, clause, (limit,))]

    def count(self, name: str, *, before: int = _NO_END) -> int:
        """Return how many messages an inbox holds, delivered or not; with ``before`` of those with smaller ids."""
        sql = """SELECT (SELECT count(*) FROM messages WHERE is_open AND "to" = ?1 AND id < ?2)
            + (SELECT count(*) FROM messages WHERE NOT is_open AND "to" = ?1 AND id < ?2)"""
        return int(self._connection.execute(sql, (name, before)).fetchone()[0])

    def activity(self, limit: int, *, before: int = _NO_END) -> list[Recorded]:
        """Return the newest facts that a person would want to read of, the newest first; archived ones are not."""
        noise = [kind.__name__ for kind in _NOISE]
        marks = ", ".join("?" * len(noise))
        where = f"WHERE type NOT IN ({marks}) AND position < ? ORDER BY position DESC LIMIT ?"
        return self._facts(where, (*noise, before, limit))

    def trouble(self, name: str) -> Recorded | None:
        """Return the newest fact of an agent's lifecycle that says what went wrong."""
        selection = Selection(stream=f"agent-{name}", types=_TROUBLE)
        for found in select(self._connection, selection, limit=1):
            at = found["position"]
            return next(read(self._connection, after=at - 1, until=at), None)
        return None

    def actors(self, positions: Iterable[int]) -> Mapping[int, str]:
        """Return whose facts these are, by position."""
        wanted = tuple(positions)
        sql = f"SELECT position, actor FROM events WHERE position IN ({', '.join('?' * len(wanted))})"  # noqa: S608
        return dict(self._connection.execute(sql, wanted))

    def has_written(self, actor_role: str) -> bool:
        """Whether anybody of this role has ever sent a message."""
        sql = "SELECT 1 FROM events WHERE type = 'MessageSent' AND (actor = ? OR actor LIKE ?) LIMIT 1"
        return self._connection.execute(sql, (actor_role, f"{actor_role}:%")).fetchone() is not None

    def _facts(self, condition: str, parameters: tuple[object, ...]) -> list[Recorded]:
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM events {condition}", parameters)  # noqa: S608
        return [Recorded(*(*row[:8], codec.decode(row[3], row[8]))) for row in rows]

    def decided(self, limit: int) -> list[Approval]:
        """Return the approvals that were decided last, the newest first."""
        clause = "WHERE resolved_at IS NOT NULL ORDER BY resolved_at DESC LIMIT ?"
        return [row for _, row in read_rows(self._connection, APPROVALS, clause, (limit,))]

    def turns(self, agent: str, limit: int, *, before: int | None = None) -> list[Turn]:
        """Return an agent's newest turns (before the one of a number), newest first."""
        clause = "WHERE agent = ? AND number < ? ORDER BY number DESC LIMIT ?"
        last = before if before is not None else 2**62
        return [row for _, row in read_rows(self._connection, TURNS, clause, (agent, last, limit))]

    def turns_from(self, agent: str, at: int) -> list[Turn]:
        """Return an agent's turns that ran at a moment or began after it, newest first."""
        clause = "WHERE agent = ? AND (ended_at IS NULL OR ended_at >= ?) ORDER BY number DESC"
        return [row for _, row in read_rows(self._connection, TURNS, clause, (agent, at))]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
