"""Forgetting messages by the time they were closed; the identity of a restored hive."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for column in ("delivered_at", "discarded_at"):
        op.create_index(f"messages_{column}", "messages", [column], sqlite_where=sa.text(f"{column} IS NOT NULL"))
    op.create_table(
        "identity",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("hive", sa.Text, nullable=False),
        sa.Column("epoch", sa.Text),
        sa.Column("restored_at", sa.Integer),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_index("identity_open", "identity", ["id"], sqlite_where=sa.text("is_open"))


def downgrade() -> None:
    raise NotImplementedError("projections are rebuilt forwards, from the log")
