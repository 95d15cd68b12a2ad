"""What happened how often, kept in the database: right across processes, and after restarts."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from b24app.store.models import Count

FALSE_REMOVALS = "false_removals"


def count(db: Session, name: str) -> None:
    """One more, in the caller's transaction."""
    made = insert(Count).values(name=name, number=1)
    db.execute(made.on_conflict_do_update(index_elements=["name"], set_={"number": Count.number + 1}))


def counted(db: Session, name: str) -> int:
    """How often so far."""
    return db.scalar(select(Count.number).where(Count.name == name)) or 0
