"""The address of each page of a run, which tells pages of one title apart

Revision ID: 0007
Revises: 0006
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run_items", sa.Column("url", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("run_items", "url")
