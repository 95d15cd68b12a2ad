"""What happened how often, kept in the database: right across processes, and after restarts."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from b24app.store.models import Count

FALSE_REMOVALS = "false_removals"
NOTICES_SENT, NOTICES_REFUSED, NOTICES_LOST = "notices_sent", "notices_refused", "notices_lost"


def count(db: Session, name: str, number: int = 1) -> None:
    """One more, or so many, in the caller's transaction."""
    made = insert(Count).values(name=name, number=number)
    db.execute(made.on_conflict_do_update(index_elements=["name"], set_={"number": Count.number + number}))


def counted(db: Session, name: str) -> int:
    """How often so far."""
    return db.scalar(select(Count.number).where(Count.name == name)) or 0
