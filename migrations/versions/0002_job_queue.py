"""job queue

Procrastinate's own tables, by the migration files it ships, up to a named one: a newer release of it changes nothing
here until a migration of ours says so. The files go through the raw psycopg connection, because they hold `%`.

Revision ID: 0002
Revises: 0001
"""

from collections.abc import Sequence
from pathlib import Path

from alembic import op
from procrastinate.schema import SchemaManager

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LAST = "03.04.00_50_post_add_retry_failed_job_procedure.sql"
DROP_ALL = """
do $$
declare thing record;
begin
    for thing in select tablename from pg_tables where schemaname = current_schema()
                 and tablename like 'procrastinate\\_%' loop
        execute format('drop table if exists %I cascade', thing.tablename);
    end loop;
    for thing in select p.oid::regprocedure as signature from pg_proc p
                 where p.pronamespace = current_schema()::regnamespace and p.proname like 'procrastinate\\_%' loop
        execute format('drop function if exists %s cascade', thing.signature);
    end loop;
    for thing in select t.typname from pg_type t
                 where t.typnamespace = current_schema()::regnamespace and t.typname like 'procrastinate\\_%'
                 and t.typtype in ('e', 'c') loop
        execute format('drop type if exists %I cascade', thing.typname);
    end loop;
end $$
"""


def upgrade() -> None:
    raw = op.get_bind().connection.driver_connection
    assert raw is not None  # noqa: S101  an online migration always has one
    files = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    for file in (file for file in files if file.name <= LAST):
        raw.execute(file.read_text(encoding="utf-8"))


def downgrade() -> None:
    raw = op.get_bind().connection.driver_connection
    assert raw is not None  # noqa: S101  an online migration always has one
    raw.execute(DROP_ALL)
