"""The log's tables, as SQLAlchemy Core knows them, and the triggers that keep them append-only.

`migrations/` creates them; a test compares a migrated database with this module.
"""

from __future__ import annotations

from sqlalchemy import (
    BLOB,
    Column,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("stream", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("correlation", Integer, nullable=False),
    Column("causation", Integer),
    Column("data", Text, nullable=False),
    Column("hash", BLOB, nullable=False),
    Index("events_stream_version", "stream", "version", unique=True),
    sqlite_autoincrement=True,
)

commands = Table(
    "commands",
    metadata,
    Column("actor", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("digest", BLOB, nullable=False),
    Column("first", Integer, nullable=False),
    Column("last", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""Answered command ids: the facts ``first`` to ``last`` were the answer (none where ``last`` < ``first``)."""

# ROLLBACK and not ABORT, here and in the log's insert: to abort a statement alone SQLite would copy each page that it
# changes (an eighth of the time of a batch), and what touches the past should take its whole transaction with it.
TRIGGERS = {
    "events_refuse_update": """
CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: an event cannot be changed');
END""",
    "events_refuse_delete": """
CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: an event cannot be deleted');
END""",
    # REPLACE deletes without a delete trigger (recursive_triggers is off by default), so the insert itself is guarded:
    # whatever is not the next position of the log and the next version of its stream is refused, which leaves
    # nothing to replace and no hole.
    "events_refuse_replace": """
CREATE TRIGGER events_refuse_replace BEFORE INSERT ON events
WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
  OR NEW.version IS NOT (SELECT coalesce(max(version), 0) + 1 FROM events WHERE stream = NEW.stream)
BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: not the next position and version');
END""",
}
"""By name; migrations create them with the table, and `Log.open` refuses a file that lacks one."""
