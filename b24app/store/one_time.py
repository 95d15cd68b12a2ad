"""What counts once, across processes: a sign-in's state, an event that was carried out."""

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from b24app.store.models import OneTimeMark


def mark_once(db: Session, mark: str, expires_at: datetime) -> bool:
    """Mark it, in the caller's transaction; False when it was marked before. Kept until `expires_at`."""
    row = {"mark": mark, "expires_at": expires_at}
    made = insert(OneTimeMark).values(row).on_conflict_do_nothing().returning(OneTimeMark.mark)
    return db.scalar(made) is not None


def is_marked(db: Session, mark: str) -> bool:
    """It was marked before."""
    return db.get(OneTimeMark, mark) is not None


def forget_expired(db: Session, now: datetime) -> None:
    """Drop the marks whose time is over."""
    db.execute(delete(OneTimeMark).where(OneTimeMark.expires_at < now))
