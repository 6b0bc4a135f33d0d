"""Approvals, agents' applied configurations, and what their sessions say of them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("requester", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("commit", sa.Text),
        sa.Column("base", sa.Text),
        sa.Column("blocked", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("work", sa.Text, nullable=False),
        sa.Column("requested_at", sa.Integer, nullable=False),
        sa.Column("resolved_at", sa.Integer),
        sa.Column("resolved_by", sa.Text),
        sa.Column("operator_note", sa.Text, nullable=False),
        sa.Column("superseded_by", sa.Integer),
        sa.Column("error", sa.Text),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("correlation", sa.Integer, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_index("approvals_open", "approvals", ["id"], sqlite_where=sa.text("is_open"))
    op.create_table(
        "configurations",
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("commit", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("approval", sa.Integer, nullable=False),
        sa.Column("applied_at", sa.Integer, nullable=False),
        sa.Column("former", sa.Text),
        sa.Column("former_settings", sa.Text),
        sa.Column("deployed", sa.Text),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_index("configurations_open", "configurations", ["agent"], sqlite_where=sa.text("is_open"))
    op.add_column("sessions", sa.Column("version", sa.Text))
    op.add_column("sessions", sa.Column("spent_day", sa.Integer, nullable=False, server_default="0"))
    op.add_column("sessions", sa.Column("spent_usd", sa.Float, nullable=False, server_default="0"))
    op.add_column("sessions", sa.Column("failed_servers", sa.Text, nullable=False, server_default="[]"))
    op.add_column("sessions", sa.Column("refused_sends", sa.Integer, nullable=False, server_default="0"))
    op.add_column("identity", sa.Column("release", sa.Text))


def downgrade() -> None:
    raise NotImplementedError("projections are rebuilt forwards, from the log")
