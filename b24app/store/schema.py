"""Which migration the code needs, and whether the database has it."""

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.orm import Session

MIGRATIONS = Path(__file__).parents[2] / "migrations"


def alembic_config() -> Config:
    """Alembic's configuration, as `pyproject.toml` gives it to the command line."""
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    return settings


@cache
def newest() -> str | None:
    """The revision this code was written for."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def is_current(db: Session) -> bool:
    """Whether the database stands at that revision."""
    return MigrationContext.configure(db.connection()).get_current_revision() == newest()
