"""Alembic's entry: runs the revisions on the connection that `hyperhive.projections.database` hands over."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
# Never batch mode: it copies a table without its triggers and AUTOINCREMENT, and the log would not be append-only any
# more.
context.configure(
    connection=connection,
    target_metadata=None,
    render_as_batch=False,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
