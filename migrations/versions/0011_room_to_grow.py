"""room for years of history: whose each item is, sums of ended runs, and what we changed lately

Items get their portal's key: a trigger writes it for code that does not, so what runs beside this migration needs no
change. Runs get their number of pages, and how they ended once that has been counted (`runs/statistics.py`); null says
that it has not, and then it is counted from the items. All of it is quick: what takes time is in 0012.

Revision ID: 0011
Revises: 0010
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0011"
down_revision: str | Sequence[str] | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

FUNCTION = """
create function sundown_portal_of_item() returns trigger language plpgsql as $$
begin
    select member_id into new.member_id from runs where id = new.run_id;
    return new;
end $$
"""
TRIGGER = """
create trigger sundown_item_written before insert on run_items for each row
when (new.member_id is null) execute function sundown_portal_of_item()
"""


def upgrade() -> None:
    op.add_column("run_items", sa.Column("member_id", sa.String(64)))
    op.execute(FUNCTION)
    op.execute(TRIGGER)
    op.add_column("runs", sa.Column("pages", sa.Integer()))
    op.add_column("runs", sa.Column("tally", JSONB()))
    op.create_table(
        "page_changes",
        sa.Column("member_id", sa.String(64), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pages", JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["portals.member_id"], name="fk_page_changes_member_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("member_id", "version", name="pk_page_changes"),
    )


def downgrade() -> None:
    op.drop_table("page_changes")
    op.drop_column("runs", "tally")
    op.drop_column("runs", "pages")
    op.execute("drop trigger sundown_item_written on run_items")
    op.execute("drop function sundown_portal_of_item()")
    op.drop_column("run_items", "member_id")
