"""names of campaigns

An order may have a name, so that people find what belongs together. Old code goes on without it.

Revision ID: 0013
Revises: 0012
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | Sequence[str] | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("name", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "name")
