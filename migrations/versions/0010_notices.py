"""notices in the portal

Each person says which they want. What is to be told is written with the state it tells of, and kept for a while after
it was sent.

Revision ID: 0010
Revises: 0009
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | Sequence[str] | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("users", sa.Column("notices", sa.String(16), server_default=sa.text("'problems'"), nullable=False))
    op.create_table(
        "notices",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.String(64), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("about", sa.String(16), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("noted_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("told_at", MOMENT),
        sa.Column("fate", sa.String(16)),
        sa.ForeignKeyConstraint(["member_id"], ["portals.member_id"], name="fk_notices_member_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_notices_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.UniqueConstraint("run_id", "user_id", "about", "since", name="uq_notices_run_id"),
    )
    op.create_index("ix_notices_due", "notices", ["due_at"], postgresql_where=sa.text("fate is null"))
    op.create_index("ix_notices_told", "notices", ["member_id", "user_id", "told_at"])


def downgrade() -> None:
    op.drop_table("notices")
    op.drop_column("users", "notices")
