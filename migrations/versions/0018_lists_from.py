"""since when a person's lists of pages count

Each process keeps lists for a minute. Who asks for a fresh one has it in all of them. Old code goes on without it.

Revision ID: 0018
Revises: 0017
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | Sequence[str] | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("users", sa.Column("lists_from", sa.DateTime(timezone=True), nullable=True), if_not_exists=True)


def downgrade() -> None:
    op.drop_column("users", "lists_from", if_exists=True)
