"""the portal's key of every item, and indexes for years of history

Items are filled in portions of a transaction each, which pass over rows that somebody holds, and indexes are built
without holding a table. It may be stopped and started again at any moment. Jobs of far dates leave the queue: a run
keeps its date and gets its job when that is near (`Schedule.enqueue_near`); older code finds such a run when it is due.

Revision ID: 0012
Revises: 0011
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | Sequence[str] | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

PORTION = 500  # runs
FIRST = "00000000-0000-0000-0000-000000000000"
NEXT = sa.text(
    "select max(id::text) from (select id from runs where id > cast(:after as uuid) order by id limit :many) r"
)
FILL = sa.text(
    "with portion as ("
    " select i.run_id, i.position, r.member_id from run_items i join runs r on r.id = i.run_id"
    " where r.id > cast(:after as uuid) and r.id <= cast(:last as uuid) and i.member_id is null"
    " for no key update of i skip locked"
    ") update run_items i set member_id = portion.member_id from portion"
    " where i.run_id = portion.run_id and i.position = portion.position"
)
UNFILLED = sa.text("select exists (select from run_items where member_id is null)")
BUILT = sa.text(
    "select c.relname from pg_class c join pg_index i on i.indexrelid = c.oid"
    " where c.relname = any(:names) and i.indisvalid and pg_table_is_visible(c.oid)"
)
NEW = {
    "ix_run_items_member": "run_items (member_id, lid, run_id)",
    "ix_run_items_to_come": "run_items (member_id, lid) where state in ('pending', 'running')",
    "ix_runs_due": "runs (at) where state = 'scheduled'",
    "ix_runs_at": "runs (member_id, at) where at is not null",
    "ix_runs_finished": "runs (finished_at) where finished_at is not null",
    "ix_runs_uncounted": "runs (member_id) where finished_at is not null and tally is null",
    "ix_runs_by_state": "runs (member_id, state, created_at, id)",
    "ix_runs_by_person": "runs (member_id, created_by, created_at, id)",
    "ix_api_calls_method": "api_calls (member_id, method, id)",
    "sundown_jobs_run": "procrastinate_jobs ((args->>'run'))",
}
OLD = {
    "ix_run_items_lid": "run_items (lid, run_id)",
    "ix_run_items_in_window": "run_items (lid) where baseline is not null and state in ('pending', 'running')",
}
FAR = (
    "delete from procrastinate_jobs where status = 'todo' and task_name = 'begin_run'"
    " and scheduled_at > now() + interval '15 minutes'"
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        _fill(op.get_bind())
        _build(NEW, instead_of=OLD)
        for table in ("run_items", "runs", "api_calls", "procrastinate_jobs"):
            op.execute(f"analyze {table}")
        op.execute(FAR)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        _build(OLD, instead_of=NEW)


def _fill(connection: sa.Connection) -> None:
    while connection.scalar(UNFILLED):
        after = FIRST
        while last := connection.scalar(NEXT, {"after": after, "many": PORTION}):
            connection.execute(FILL, {"after": after, "last": last})
            after = last


def _build(new: dict[str, str], *, instead_of: dict[str, str]) -> None:
    """What an earlier try has built stays, so that tries come to an end however busy the tables are; one that it left
    half built is built again.
    """
    built = set(op.get_bind().scalars(BUILT, {"names": list(new)}))
    for name, what in new.items():
        if name in built:
            continue
        op.execute(f"drop index concurrently if exists {name}")
        op.execute(f"create index concurrently {name} on {what}")
    for name in instead_of:
        op.execute(f"drop index concurrently if exists {name}")
