"""The log: events, their triggers, and the answered command ids."""

from alembic import op

revision = "0001"
down_revision = None

EVENTS = """
CREATE TABLE events (
  position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  stream TEXT NOT NULL,
  version INTEGER NOT NULL,
  type TEXT NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  correlation INTEGER NOT NULL,
  causation INTEGER,
  data TEXT NOT NULL,
  hash BLOB NOT NULL
)
"""

COMMANDS = """
CREATE TABLE commands (
  actor TEXT NOT NULL,
  id TEXT NOT NULL,
  digest BLOB NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (actor, id)
) WITHOUT ROWID
"""

TRIGGERS = (
    """
CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: an event cannot be changed');
END""",
    """
CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: an event cannot be deleted');
END""",
    """
CREATE TRIGGER events_refuse_replace BEFORE INSERT ON events
WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
  OR NEW.version IS NOT (SELECT coalesce(max(version), 0) + 1 FROM events WHERE stream = NEW.stream)
BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: not the next position and version');
END""",
)


def upgrade() -> None:
    op.execute(EVENTS)
    op.execute("CREATE UNIQUE INDEX events_stream_version ON events (stream, version)")
    for trigger in TRIGGERS:
        op.execute(trigger)
    op.execute(COMMANDS)


def downgrade() -> None:
    raise NotImplementedError("the log is never taken apart")
