"""Alembic's entry: our models are the target, Procrastinate's tables are its own and are left out of comparisons."""

from alembic import context
from alembic.runtime.environment import NameFilterParentNames, NameFilterType
from sqlalchemy import create_engine

from b24app.config import database_url
from b24app.store.models import Base

IGNORED = "procrastinate_"


def is_ours(name: str | None, kind: NameFilterType, parents: NameFilterParentNames) -> bool:
    """Whether autogenerate and `alembic check` look at this name."""
    return not (kind == "table" and (name or "").startswith(IGNORED))


def migrate() -> None:
    """Run the migrations on one connection, each in its own transaction."""
    url = context.config.attributes.get("url") or database_url()
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            include_name=is_ours,
            compare_server_default=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


migrate()
