"""The operator's choice of a model; every turn; what is said to sessions themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("chosen_model", sa.Text))
    op.create_table(
        "turns",
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Integer, nullable=False),
        sa.Column("ended_at", sa.Integer),
        sa.Column("ok", sa.Boolean),
        sa.Column("error", sa.Text),
        sa.Column("error_kind", sa.Text),
        sa.Column("cost_usd", sa.Float, nullable=False),
        sa.Column("input_tokens", sa.Integer, nullable=False),
        sa.Column("output_tokens", sa.Integer, nullable=False),
        sa.Column("cache_read_tokens", sa.Integer, nullable=False),
        sa.Column("cache_creation_tokens", sa.Integer, nullable=False),
        sa.Column("newest", sa.Boolean, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_index("turns_open", "turns", ["number"], sqlite_where=sa.text("is_open"))
    op.create_table(
        "slash_commands",
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("correlation", sa.Integer, nullable=False),
        sa.Column("taken_at", sa.Integer),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_index("slash_commands_open", "slash_commands", ["id"], sqlite_where=sa.text("is_open"))


def downgrade() -> None:
    raise NotImplementedError("projections are rebuilt forwards, from the log")
