"""A chosen time zone stands beside the portal's; when a token was last tried

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("chosen_zone", sa.Text(), nullable=True))
    op.add_column("user_tokens", sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.execute("update users set zone = chosen_zone where chosen_zone is not null")
    op.drop_column("user_tokens", "tried_at")
    op.drop_column("users", "chosen_zone")
