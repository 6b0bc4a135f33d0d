"""Changing a log's file by hand, as somebody would who knows how to take its guards away."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hyperhive.events import schema

_FULL = """
CREATE TABLE events (
  position INTEGER NOT NULL PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL, type TEXT NOT NULL,
  at INTEGER NOT NULL, actor TEXT NOT NULL, correlation INTEGER NOT NULL, causation INTEGER, data TEXT NOT NULL,
  hash BLOB NOT NULL
)
"""
_BACK = (
    "DELETE FROM facts",
    "DELETE FROM streams",
    "DELETE FROM names",
    "INSERT INTO streams SELECT NULL, stream, max(version), max(position) FROM events GROUP BY stream",
    "INSERT INTO names SELECT NULL, name FROM (SELECT type AS name FROM events UNION SELECT actor FROM events)",
    f"""
INSERT INTO facts SELECT e.position, s.id, e.version, t.id, e.at - {schema.AT_ZERO}, a.id, e.position - e.correlation,
  e.position - e.causation, e.position - max(p.position), e.data, e.hash
FROM events e LEFT JOIN streams s ON s.name = e.stream LEFT JOIN names t ON t.name = e.type
LEFT JOIN names a ON a.name = e.actor LEFT JOIN events p ON p.stream = e.stream AND p.position < e.position
GROUP BY e.position""",  # noqa: S608 - ours
    "DROP TABLE events",
    schema.VIEW,
)


def tamper(path: Path, *statements: str) -> None:
    """Run statements on the facts in full (`events`) and keep them as the log does, with all its guards in place."""
    connection = sqlite3.connect(path)
    disarm(connection)
    facts = "SELECT position, stream, version, type, at, actor, correlation, causation, data, hash FROM events"
    connection.execute(_FULL.replace("events", "whole", 1))
    connection.execute(f"INSERT INTO whole {facts}")
    connection.execute("DROP VIEW events")
    connection.execute("ALTER TABLE whole RENAME TO events")
    try:
        for statement in (*statements, *_BACK, *schema.TRIGGERS.values()):
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


def disarm(connection: sqlite3.Connection) -> None:
    """Take the guards away."""
    for name in schema.TRIGGERS:
        connection.execute(f"DROP TRIGGER IF EXISTS {name}")
