"""pages that came to an order later

The quota of pages a day counts them when they came, not when the order was placed. Old code goes on without it. The
index is built without holding the table; what an interrupted build left behind is dropped first.

Revision ID: 0015
Revises: 0014
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | Sequence[str] | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEX = "ix_runs_added"


def upgrade() -> None:
    op.add_column("runs", sa.Column("added_pages", sa.Integer(), nullable=True), if_not_exists=True)
    op.add_column("runs", sa.Column("added_at", sa.DateTime(timezone=True), nullable=True), if_not_exists=True)
    with op.get_context().autocommit_block():
        op.drop_index(INDEX, "runs", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            INDEX,
            "runs",
            ["member_id", "added_at"],
            postgresql_where=sa.text("added_at is not null"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(INDEX, "runs", postgresql_concurrently=True, if_exists=True)
    op.drop_column("runs", "added_at", if_exists=True)
    op.drop_column("runs", "added_pages", if_exists=True)
