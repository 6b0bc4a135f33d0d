"""Messages in the order in which they came, whichever inbox they are in; the closed ones found by inbox."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

MOVE = """
INSERT INTO messages
SELECT "to", id, sender, body, at, correlation, deliveries, delivered_at, parked_at, discarded_at, is_open
FROM messages_before ORDER BY id"""


def upgrade() -> None:
    op.rename_table("messages", "messages_before")
    op.create_table(
        "messages",
        sa.Column("to", sa.Text, nullable=False),
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("correlation", sa.Integer, nullable=False),
        sa.Column("deliveries", sa.Integer, nullable=False),
        sa.Column("delivered_at", sa.Integer),
        sa.Column("parked_at", sa.Integer),
        sa.Column("discarded_at", sa.Integer),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", "to"),
    )
    op.execute(MOVE)
    op.drop_table("messages_before")
    op.create_index("messages_open", "messages", ["id"], sqlite_where=sa.text("is_open"))
    op.create_index("messages_closed", "messages", ["to", "id"], sqlite_where=sa.text("NOT is_open"))
    for column in ("delivered_at", "discarded_at"):
        op.create_index(f"messages_{column}", "messages", [column], sqlite_where=sa.text(f"{column} IS NOT NULL"))


def downgrade() -> None:
    raise NotImplementedError("projections are rebuilt forwards, from the log")
