"""The log in less room: streams, types and actors by id, distances instead of positions; archived segments."""

from alembic import op

revision = "0009"
down_revision = "0008"

TABLES = (
    """
CREATE TABLE streams (
  id INTEGER NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  version INTEGER NOT NULL,
  position INTEGER NOT NULL
)""",
    """
CREATE TABLE names (
  id INTEGER NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
)""",
    """
CREATE TABLE facts (
  position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  stream INTEGER NOT NULL,
  version INTEGER NOT NULL,
  type INTEGER NOT NULL,
  at INTEGER NOT NULL,
  actor INTEGER NOT NULL,
  correlation INTEGER NOT NULL,
  causation INTEGER,
  previous INTEGER,
  data TEXT NOT NULL,
  hash BLOB NOT NULL
)""",
    """
CREATE TABLE segments (
  first INTEGER NOT NULL PRIMARY KEY,
  last INTEGER NOT NULL,
  previous BLOB NOT NULL,
  head BLOB NOT NULL,
  until INTEGER NOT NULL,
  file TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  digest BLOB NOT NULL,
  content BLOB
)""",
)

MOVE = (
    """
INSERT INTO streams SELECT NULL, stream, max(version), max(position) FROM events GROUP BY stream ORDER BY min(position)
""",
    """
INSERT INTO names SELECT NULL, name FROM (
  SELECT DISTINCT type AS name FROM events UNION SELECT DISTINCT actor FROM events
) ORDER BY name
""",
    """
INSERT INTO facts
SELECT e.position, s.id, e.version, t.id, e.at - 1830297600000000, a.id, e.position - e.correlation,
  e.position - e.causation,
  e.position - (SELECT p.position FROM events p WHERE p.stream = e.stream AND p.version = e.version - 1),
  e.data, e.hash
FROM events e JOIN streams s ON s.name = e.stream JOIN names t ON t.name = e.type JOIN names a ON a.name = e.actor
ORDER BY e.position""",
)

VIEW = """
CREATE VIEW events AS SELECT f.position, s.name AS stream, f.version, t.name AS type, \
f.at + 1830297600000000 AS at, a.name AS actor,
  f.position - f.correlation AS correlation, f.position - f.causation AS causation, f.data, f.hash
FROM facts f LEFT JOIN streams s ON s.id = f.stream
LEFT JOIN names t ON t.id = f.type LEFT JOIN names a ON a.id = f.actor"""

TRIGGERS = (
    """
CREATE TRIGGER events_refuse_update BEFORE UPDATE ON facts BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: an event cannot be changed');
END""",
    """
CREATE TRIGGER events_refuse_delete BEFORE DELETE ON facts
WHEN OLD.position > (SELECT coalesce(max(last), 0) FROM segments) BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: an event that is not archived cannot be deleted');
END""",
    """
CREATE TRIGGER events_refuse_replace BEFORE INSERT ON facts
WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM facts)
  OR NEW.version IS NOT (SELECT version + 1 FROM streams WHERE id = NEW.stream)
  OR NEW.previous IS NOT (SELECT NEW.position - nullif(position, 0) FROM streams WHERE id = NEW.stream)
BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: not the next position and version');
END""",
    """
CREATE TRIGGER events_advance_stream AFTER INSERT ON facts BEGIN
  UPDATE streams SET version = NEW.version, position = NEW.position WHERE id = NEW.stream;
END""",
    """
CREATE TRIGGER streams_refuse_update BEFORE UPDATE ON streams
WHEN NEW.id IS NOT OLD.id OR NEW.name IS NOT OLD.name OR NEW.version IS NOT OLD.version + 1
  OR NEW.position IS NOT (SELECT max(position) FROM facts) OR NEW.position <= OLD.position
BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: a stream goes on by its next event alone');
END""",
    """
CREATE TRIGGER streams_refuse_delete BEFORE DELETE ON streams BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: a stream cannot be deleted');
END""",
    """
CREATE TRIGGER streams_refuse_replace BEFORE INSERT ON streams
WHEN NEW.version IS NOT 0 OR NEW.position IS NOT 0
  OR EXISTS (SELECT 1 FROM streams WHERE id = NEW.id OR name = NEW.name)
BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: a stream begins once, at version 0');
END""",
    """
CREATE TRIGGER names_refuse_update BEFORE UPDATE ON names BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: a name cannot be changed');
END""",
    """
CREATE TRIGGER names_refuse_delete BEFORE DELETE ON names BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: a name cannot be deleted');
END""",
    """
CREATE TRIGGER names_refuse_replace BEFORE INSERT ON names
WHEN EXISTS (SELECT 1 FROM names WHERE id = NEW.id OR name = NEW.name)
BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: a name is given once');
END""",
    """
CREATE TRIGGER segments_refuse_update
BEFORE UPDATE OF first, last, previous, head, until, file, bytes, digest ON segments BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: an archived segment cannot be changed');
END""",
    """
CREATE TRIGGER segments_refuse_delete BEFORE DELETE ON segments BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: an archived segment cannot be deleted');
END""",
    """
CREATE TRIGGER segments_refuse_replace BEFORE INSERT ON segments
WHEN NEW.first IS NOT (SELECT coalesce(max(last), 0) + 1 FROM segments)
  OR NEW.last < NEW.first
  OR NEW.last >= (SELECT coalesce(max(position), 0) FROM facts)
  OR NEW.head IS NOT (SELECT hash FROM facts WHERE position = NEW.last)
  OR NEW.previous IS NOT coalesce((SELECT head FROM segments WHERE last = NEW.first - 1), zeroblob(32))
BEGIN
  SELECT RAISE(ROLLBACK, 'the log is append-only: not the next segment of its chain');
END""",
)


def upgrade() -> None:
    for table in TABLES:
        op.execute(table)
    before = op.get_bind().exec_driver_sql("SELECT count(*) FROM events").scalar()
    for statement in MOVE:
        op.execute(statement)
    moved = op.get_bind().exec_driver_sql("SELECT count(*) FROM facts").scalar()
    if moved != before:
        raise RuntimeError(f"{before} facts, and {moved} of them could be moved: hyperhive log verify")
    op.execute("DROP TABLE events")
    op.execute(VIEW)
    for trigger in TRIGGERS:
        op.execute(trigger)


def downgrade() -> None:
    raise NotImplementedError("the log is never taken apart")
