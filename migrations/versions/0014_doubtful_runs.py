"""an index of runs that would not go

Metrics count them at each look; without it that reads every run set for a time. Built without holding the table; what
an interrupted build left behind is dropped first.

Revision ID: 0014
Revises: 0013
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | Sequence[str] | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEX = "ix_runs_doubtful"


def upgrade() -> None:
    downgrade()
    with op.get_context().autocommit_block():
        op.create_index(
            INDEX, "runs", ["state"], postgresql_where=sa.text("doubt is not null"), postgresql_concurrently=True
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(INDEX, "runs", postgresql_concurrently=True, if_exists=True)
