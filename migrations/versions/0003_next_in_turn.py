"""the next in turn is told

A portal's jobs take turns by a lock. The engine tells workers of a job when it is inserted; one that waited for its
turn is found only by the next look, up to a second later, after every batch of a run. So the end of a job with a lock
tells them, too, where another one waits for that lock.

Revision ID: 0003
Revises: 0002
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0003"
down_revision: str | Sequence[str] | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

FUNCTION = """
create function sundown_tell_next_in_turn() returns trigger language plpgsql as $$
begin
    if exists (select 1 from procrastinate_jobs where lock = old.lock and status = 'todo') then
        perform pg_notify('procrastinate_any_queue_v1', json_build_object('type', 'job_inserted', 'job_id', 0)::text);
    end if;
    return null;
end $$
"""
ENDED = "create trigger sundown_job_deleted after delete on procrastinate_jobs for each row"
FAILED = "create trigger sundown_job_ended after update of status on procrastinate_jobs for each row"
TELL = "execute function sundown_tell_next_in_turn()"


def upgrade() -> None:
    op.execute(FUNCTION)
    op.execute(f"{ENDED} when (old.lock is not null) {TELL}")
    op.execute(f"{FAILED} when (old.lock is not null and old.status = 'doing' and new.status <> 'doing') {TELL}")


def downgrade() -> None:
    op.execute("drop trigger sundown_job_ended on procrastinate_jobs")
    op.execute("drop trigger sundown_job_deleted on procrastinate_jobs")
    op.execute("drop function sundown_tell_next_in_turn()")
