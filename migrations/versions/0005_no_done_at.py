"""no time of its own for a page of a run

Nothing ever wrote `run_items.done_at`.

Revision ID: 0005
Revises: 0004
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | Sequence[str] | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.drop_column("run_items", "done_at")


def downgrade() -> None:
    op.add_column("run_items", sa.Column("done_at", sa.DateTime(timezone=True), nullable=True))
