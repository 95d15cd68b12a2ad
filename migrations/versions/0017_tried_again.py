"""an index of runs that try others again

The history offers to try failed pages again only where that was not done; without it each look reads every run. Built
without holding the table; what an interrupted build left behind is dropped first.

Revision ID: 0017
Revises: 0016
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | Sequence[str] | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEX = "ix_runs_retries"


def upgrade() -> None:
    downgrade()
    with op.get_context().autocommit_block():
        op.create_index(
            INDEX, "runs", ["retries"], postgresql_where=sa.text("retries is not null"), postgresql_concurrently=True
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(INDEX, "runs", postgresql_concurrently=True, if_exists=True)
