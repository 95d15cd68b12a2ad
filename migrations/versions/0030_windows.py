"""windows over pages, and decisions about late runs

Each return keeps, page by page, what the page comes back to and which order keeps it from that. A run keeps when it
last got on, and who decided that it is still wanted though late. Returns that are open now learn what their first runs
have done so far.

Revision ID: 0030
Revises: 0010
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0030"
down_revision: str | Sequence[str] | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ARE_RETURNS = "update runs set is_return = true where id in (select returns_run from runs)"
BASELINES = """
update run_items i set baseline = (f.action = 'unpublish') = (d.state <> 'skipped'), expected = d.after
from runs b, runs f, run_items d
where b.id = i.run_id and b.is_return and b.state in ('scheduled', 'queued', 'running', 'waiting')
  and i.state in ('pending', 'running') and f.id = b.undoes and d.run_id = f.id and d.lid = i.lid
  and (d.state in ('succeeded', 'running') or (d.state = 'skipped' and d.code = 'already_so'))
"""


def upgrade() -> None:
    op.add_column("runs", sa.Column("is_return", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("runs", sa.Column("worked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("decided_by", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("run_items", sa.Column("baseline", sa.Boolean(), nullable=True))
    op.add_column("run_items", sa.Column("kept_by", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_run_items_in_window",
        "run_items",
        ["lid"],
        postgresql_where=sa.text("baseline is not null and state in ('pending', 'running')"),
    )
    op.execute(ARE_RETURNS)
    op.execute(BASELINES)


def downgrade() -> None:
    op.drop_index("ix_run_items_in_window", table_name="run_items")
    for column in ("kept_by", "baseline"):
        op.drop_column("run_items", column)
    for column in ("decided_at", "decided_by", "worked_at", "is_return"):
        op.drop_column("runs", column)
