"""Which migration the code needs, and whether the database has it.

Alembic is not imported here: it would cost each web process 10 MB for one word, which the migrations' files tell, too.
"""

import re
from functools import cache
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

MIGRATIONS = Path(__file__).parents[2] / "migrations"
REVISION = re.compile(r"""^(revision|down_revision)\b[^=\n]*= "(\w+)"$""", re.MULTILINE)


@cache
def newest() -> str:
    """The revision this code was written for: the one that no other comes after."""
    files = (MIGRATIONS / "versions").glob("*.py")
    found: list[tuple[str, str]] = [
        pair for file in files for pair in REVISION.findall(file.read_text(encoding="utf-8"))
    ]
    followed = {name for key, name in found if key == "down_revision"}
    return next(name for key, name in found if key == "revision" and name not in followed)


def is_current(db: Session) -> bool:
    """Whether the database stands at that revision; False, too, for one that was never migrated."""
    if db.scalar(text("select to_regclass('alembic_version')")) is None:
        return False
    return list(db.scalars(text("select version_num from alembic_version"))) == [newest()]
