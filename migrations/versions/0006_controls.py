"""Quarantine, pause, interrupt and freeze."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("agents", sa.Column("crashes", sa.Text, nullable=False, server_default="[]"))
    op.add_column("agents", sa.Column("quarantined", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("agents", sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("agents", sa.Column("control", sa.Integer, nullable=False, server_default="0"))
    op.add_column("agents", sa.Column("interrupt", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "freeze",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("frozen", sa.Boolean, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("at", sa.Integer),
        sa.Column("by", sa.Text),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_index("freeze_open", "freeze", ["id"], sqlite_where=sa.text("is_open"))


def downgrade() -> None:
    raise NotImplementedError("projections are rebuilt forwards, from the log")
