"""A question may have a deadline; those asked before have none."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("questions", sa.Column("deadline_at", sa.Integer))


def downgrade() -> None:
    raise NotImplementedError("projections are rebuilt forwards, from the log")
