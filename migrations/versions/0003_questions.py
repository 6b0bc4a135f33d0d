"""Questions to the operator, and the sequences that number them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "sequences",
        sa.Column("category", sa.Text, primary_key=True),
        sa.Column("last", sa.Integer, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_index("sequences_open", "sequences", ["category"], sqlite_where=sa.text("is_open"))
    op.create_table(
        "questions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("asker", sa.Text, nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("asked_at", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("resolved_at", sa.Integer),
        sa.Column("resolved_by", sa.Text),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("correlation", sa.Integer, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_index("questions_open", "questions", ["id"], sqlite_where=sa.text("is_open"))


def downgrade() -> None:
    raise NotImplementedError("projections are rebuilt forwards, from the log")
