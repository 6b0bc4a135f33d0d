"""The log's tables, as SQLAlchemy Core knows them, and the triggers that keep them append-only.

`migrations/` creates them; a test compares a migrated database with this module. `events` is a view with every fact in
full, for people with an SQL prompt; `facts` is how one is kept, in 1.6 times its JSON (docs/decisions/0004-facts.md).
"""

from __future__ import annotations

import sqlite3

from sqlalchemy import (
    BLOB,
    Column,
    Integer,
    MetaData,
    Table,
    Text,
)

metadata = MetaData()

AT_ZERO = 1_830_297_600_000_000
"""From where ``at`` is counted in a row, 2028-01-01: so SQLite needs six bytes for 2023 to 2032, and not eight."""

streams = Table(
    "streams",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("position", Integer, nullable=False),
)
"""Each stream, with version and position of its newest fact; 0 where it has none yet."""

names = Table(
    "names",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)
"""Types and actors: few, and each stands in many facts."""

facts = Table(
    "facts",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("stream", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("type", Integer, nullable=False),
    Column("at", Integer, nullable=False),
    Column("actor", Integer, nullable=False),
    Column("correlation", Integer, nullable=False),
    Column("causation", Integer),
    Column("previous", Integer),
    Column("data", Text, nullable=False),
    Column("hash", BLOB, nullable=False),
    sqlite_autoincrement=True,
)
"""``stream``, ``type`` and ``actor`` are ids; ``at`` is counted from `AT_ZERO`; ``correlation``, ``causation`` and
``previous`` (the fact before in its stream) are how many positions they lie back: most are one byte, or none."""

segments = Table(
    "segments",
    metadata,
    Column("first", Integer, primary_key=True),
    Column("last", Integer, nullable=False),
    Column("previous", BLOB, nullable=False),
    Column("head", BLOB, nullable=False),
    Column("until", Integer, nullable=False),
    Column("file", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("digest", BLOB, nullable=False),
    Column("content", BLOB),
)
"""What was archived: positions, the hashes before and at its end, when its last fact happened, and the file with its
length and SHA-256. ``content`` is the file itself, in a backup alone, which is one file."""

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

FULL = f"""f.position, s.name AS stream, f.version, t.name AS type, f.at + {AT_ZERO} AS at, a.name AS actor,
  f.position - f.correlation AS correlation, f.position - f.causation AS causation, f.data, f.hash"""

# Outer joins: a row whose name is lost must still be seen, and what asks for positions alone joins nothing.
VIEW = f"""
CREATE VIEW events AS SELECT {FULL}
FROM facts f LEFT JOIN streams s ON s.id = f.stream
LEFT JOIN names t ON t.id = f.type LEFT JOIN names a ON a.id = f.actor"""  # noqa: S608 - ours

# ROLLBACK and not ABORT, here and in the log's insert: to abort a statement alone SQLite would copy each page that it
# changes (an eighth of the time of a batch), and what touches the past should take its whole transaction with it.
TRIGGERS = {
    "events_refuse_update": """
CREATE TRIGGER events_refuse_update BEFORE UPDATE ON facts BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: an event cannot be changed');
END""",
    "events_refuse_delete": """
CREATE TRIGGER events_refuse_delete BEFORE DELETE ON facts
WHEN OLD.position > (SELECT coalesce(max(last), 0) FROM segments) BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: an event that is not archived cannot be deleted');
END""",
    # REPLACE deletes without a delete trigger (recursive_triggers is off by default), so the insert itself is guarded:
    # whatever is not the next position of the log and the next version of its stream is refused, which leaves
    # nothing to replace and no hole. The newest fact is never archived, so that the next position is always known.
    "events_refuse_replace": """
CREATE TRIGGER events_refuse_replace BEFORE INSERT ON facts
WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM facts)
  OR NEW.version IS NOT (SELECT version + 1 FROM streams WHERE id = NEW.stream)
  OR NEW.previous IS NOT (SELECT NEW.position - nullif(position, 0) FROM streams WHERE id = NEW.stream)
BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: not the next position and version');
END""",
    "events_advance_stream": """
CREATE TRIGGER events_advance_stream AFTER INSERT ON facts BEGIN
  UPDATE streams SET version = NEW.version, position = NEW.position WHERE id = NEW.stream;
END""",
    "streams_refuse_update": """
CREATE TRIGGER streams_refuse_update BEFORE UPDATE ON streams
WHEN NEW.id IS NOT OLD.id OR NEW.name IS NOT OLD.name OR NEW.version IS NOT OLD.version + 1
  OR NEW.position IS NOT (SELECT max(position) FROM facts) OR NEW.position <= OLD.position
BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: a stream goes on by its next event alone');
END""",
    "streams_refuse_delete": """
CREATE TRIGGER streams_refuse_delete BEFORE DELETE ON streams BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: a stream cannot be deleted');
END""",
    "streams_refuse_replace": """
CREATE TRIGGER streams_refuse_replace BEFORE INSERT ON streams
WHEN NEW.version IS NOT 0 OR NEW.position IS NOT 0
  OR EXISTS (SELECT 1 FROM streams WHERE id = NEW.id OR name = NEW.name)
BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: a stream begins once, at version 0');
END""",
    "names_refuse_update": """
CREATE TRIGGER names_refuse_update BEFORE UPDATE ON names BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: a name cannot be changed');
END""",
    "names_refuse_delete": """
CREATE TRIGGER names_refuse_delete BEFORE DELETE ON names BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: a name cannot be deleted');
END""",
    "names_refuse_replace": """
CREATE TRIGGER names_refuse_replace BEFORE INSERT ON names
WHEN EXISTS (SELECT 1 FROM names WHERE id = NEW.id OR name = NEW.name)
BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: a name is given once');
END""",
    "segments_refuse_update": """
CREATE TRIGGER segments_refuse_update
BEFORE UPDATE OF first, last, previous, head, until, file, bytes, digest ON segments BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: an archived segment cannot be changed');
END""",
    "segments_refuse_delete": """
CREATE TRIGGER segments_refuse_delete BEFORE DELETE ON segments BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: an archived segment cannot be deleted');
END""",
    # What may be deleted of the facts is what a segment holds, so one must be the next, and of this chain.
    "segments_refuse_replace": """
CREATE TRIGGER segments_refuse_replace BEFORE INSERT ON segments
WHEN NEW.first IS NOT (SELECT coalesce(max(last), 0) + 1 FROM segments)
  OR NEW.last < NEW.first
  OR NEW.last >= (SELECT coalesce(max(position), 0) FROM facts)
  OR NEW.head IS NOT (SELECT hash FROM facts WHERE position = NEW.last)
  OR NEW.previous IS NOT coalesce((SELECT head FROM segments WHERE last = NEW.first - 1), zeroblob(32))
BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: not the next segment of its chain');
END""",
}
"""By name; migrations create them with the tables, and `Log` refuses a file that lacks one."""


def missing(connection: sqlite3.Connection) -> list[str]:
    """Return the triggers and the view that a log's file lacks, or has in other words."""
    rows = connection.execute("SELECT name, CAST(sql AS BLOB) FROM sqlite_master WHERE type IN ('trigger', 'view')")
    found = {bytes(str(name), "utf-8") if isinstance(name, str) else bytes(name): sql for name, sql in rows}
    expected = {**TRIGGERS, "events": VIEW}
    return [name for name, sql in expected.items() if found.get(name.encode()) != sql.strip().encode()]
