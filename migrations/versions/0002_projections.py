"""The first projections: agents, messages, sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "projections",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
    )
    op.create_table(
        "agents",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("pending", sa.Text),
        sa.Column("pending_at", sa.Integer),
        sa.Column("pending_position", sa.Integer),
        sa.Column("pending_correlation", sa.Integer),
        sa.Column("graceful", sa.Boolean, nullable=False),
        sa.Column("purge", sa.Boolean, nullable=False),
        sa.Column("since", sa.Integer, nullable=False),
        sa.Column("crashed", sa.Boolean, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_index("agents_open", "agents", ["name"], sqlite_where=sa.text("is_open"))
    op.create_table(
        "messages",
        sa.Column("to", sa.Text, primary_key=True),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("correlation", sa.Integer, nullable=False),
        sa.Column("deliveries", sa.Integer, nullable=False),
        sa.Column("delivered_at", sa.Integer),
        sa.Column("parked_at", sa.Integer),
        sa.Column("discarded_at", sa.Integer),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_index("messages_open", "messages", ["id"], sqlite_where=sa.text("is_open"))
    op.create_table(
        "sessions",
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("run", sa.Text),
        sa.Column("turn", sa.Integer),
        sa.Column("turn_correlation", sa.Integer),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("status_text", sa.Text),
        sa.Column("status_at", sa.Integer),
        sa.Column("model", sa.Text),
        sa.Column("session_id", sa.Text),
        sa.Column("needs_login", sa.Boolean, nullable=False),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.Column("failed_turns", sa.Integer, nullable=False),
        sa.Column("cost_usd", sa.Float, nullable=False),
        sa.Column("input_tokens", sa.Integer, nullable=False),
        sa.Column("output_tokens", sa.Integer, nullable=False),
        sa.Column("cache_read_tokens", sa.Integer, nullable=False),
        sa.Column("cache_creation_tokens", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_index("sessions_open", "sessions", ["agent"], sqlite_where=sa.text("is_open"))


def downgrade() -> None:
    raise NotImplementedError("projections are rebuilt forwards, from the log")
