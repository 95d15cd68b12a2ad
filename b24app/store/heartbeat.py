"""Whether a worker is at work: each says so every few seconds, and who waits for it is told when it falls silent."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from b24app.store.db import Store
from b24app.store.models import WorkerSeen
from b24app.store.schema import is_current

WORKER = "worker"
WORKER_LATE = timedelta(minutes=2)


class NotReady(Exception):
    """The app cannot work now; the word says why: `no_database` or `not_migrated`."""


def beat(store: Store, now: datetime) -> None:
    """Write down that a worker is at work now."""
    row = {"name": WORKER, "at": now}
    with store.begin() as db:
        db.execute(insert(WorkerSeen).values(row).on_conflict_do_update(index_elements=["name"], set_=row))


def last_beat(store: Store) -> datetime | None:
    """When a worker last said it lives; None for never. Raises NotReady without the database or its tables."""
    try:
        with store.begin() as db:
            if not is_current(db):
                raise NotReady("not_migrated")
            return db.scalar(select(func.max(WorkerSeen.at)))
    except SQLAlchemyError:
        raise NotReady("no_database") from None


def is_late(seen: datetime | None, now: datetime) -> bool:
    """Nothing goes on by itself: no worker said for a while that it lives."""
    return seen is None or seen < now - WORKER_LATE
