"""Which migration the code needs, and how the database stands to it.

Deploys and rollbacks pass over each other, so code meets tables that are newer than it: they are fine, since migrations
only add what older code does not look at. Tables that are older are not: who needs the new ones waits, or says so.

Alembic is not imported here: it would cost each web process 10 MB for one word, which the migrations' files tell, too.
"""

import re
from enum import StrEnum
from functools import cache
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

MIGRATIONS = Path(__file__).parents[2] / "migrations"
REVISION = re.compile(r"""^(revision|down_revision)\b[^=\n]*= "(\w+)"$""", re.MULTILINE)
TablesDiffer = ProgrammingError  # what a statement meets that was written for other tables


class Standing(StrEnum):
    """How the tables stand to the code."""

    MISSING = "missing"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"

    @property
    def suits(self) -> bool:
        """The code can work with these tables."""
        return self in (Standing.CURRENT, Standing.NEWER)


@cache
def _revisions() -> tuple[frozenset[str], str]:
    """All revisions this code knows, and the one that no other comes after."""
    files = (MIGRATIONS / "versions").glob("*.py")
    found: list[tuple[str, str]] = [
        pair for file in files for pair in REVISION.findall(file.read_text(encoding="utf-8"))
    ]
    known = frozenset(name for key, name in found if key == "revision")
    followed = {name for key, name in found if key == "down_revision"}
    return known, next(name for name in known if name not in followed)


def newest() -> str:
    """The revision this code was written for."""
    return _revisions()[1]


def standing_of(revisions: list[str]) -> Standing:
    """What these revisions of a database are to this code. One it has never heard of was made by a newer version."""
    known, needed = _revisions()
    if not revisions:
        return Standing.MISSING
    if not known.issuperset(revisions):
        return Standing.NEWER
    return Standing.CURRENT if needed in revisions else Standing.OLDER


def standing(db: Session) -> Standing:
    """How this database's tables stand to the code."""
    if db.scalar(text("select to_regclass('alembic_version')")) is None:
        return Standing.MISSING
    return standing_of(list(db.scalars(text("select version_num from alembic_version"))))
