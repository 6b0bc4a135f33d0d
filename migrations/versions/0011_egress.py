"""Which hosts an agent was kept from, and in which runtime it lives."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("agents", sa.Column("runtime", sa.Text))
    op.create_table(
        "egress",
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("hosts", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_index("egress_open", "egress", ["agent"], sqlite_where=sa.text("is_open"))


def downgrade() -> None:
    raise NotImplementedError("projections are rebuilt forwards, from the log")
