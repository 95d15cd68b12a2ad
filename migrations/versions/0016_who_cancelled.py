"""who cancelled a run

The history answers who stopped what a colleague had ordered. Of runs that ended before nobody kept it; old code goes on
without it.

Revision ID: 0016
Revises: 0015
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | Sequence[str] | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("cancelled_by", sa.BigInteger(), nullable=True), if_not_exists=True)
    op.add_column("runs", sa.Column("cancelled_name", sa.Text(), nullable=True), if_not_exists=True)


def downgrade() -> None:
    op.drop_column("runs", "cancelled_name", if_exists=True)
    op.drop_column("runs", "cancelled_by", if_exists=True)
