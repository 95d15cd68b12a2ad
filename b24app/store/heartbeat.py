"""Whether workers are at work: each says so every few seconds, and who waits is told when all of them are silent.

A worker's name is its machine's with a number, the lowest that no living worker of this machine and database has. So
one that was killed is followed by its successor under the same name, and only a worker that nobody replaced stays
silent.
"""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from b24app.store.db import Store
from b24app.store.models import WorkerSeen
from b24app.store.schema import standing

WORKER = "worker"
WORKER_LATE = timedelta(minutes=2)
FORGOTTEN = timedelta(days=1)  # a silent worker is nobody's any more
MOST_WORKERS = 100  # on one machine


class NotReady(Exception):
    """The app cannot work now; the word says why: `no_database` or `not_migrated`."""


@contextmanager
def worker_name(store: Store) -> Iterator[str]:
    """This worker's name, for as long as the block lasts; the kernel frees it when the process dies."""
    host = socket.gethostname()
    files = f"sundown-worker-{os.geteuid()}-{store.place.fingerprint}"
    for number in range(1, MOST_WORKERS):
        path = Path(tempfile.gettempdir()) / f"{files}-{number}"
        try:
            held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:  # somebody else's, or there is no place for files
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            continue
        try:
            yield f"{host}-{number}"
        finally:
            os.close(held)
        return
    yield f"{host}-{os.getpid()}"


def beat(store: Store, now: datetime, name: str) -> None:
    """Write down that this worker is at work now."""
    row = {"name": name, "at": now}
    with store.begin() as db:
        db.execute(insert(WorkerSeen).values(row).on_conflict_do_update(index_elements=["name"], set_=row))
        db.execute(delete(WorkerSeen).where(WorkerSeen.name != name, WorkerSeen.at < now - FORGOTTEN))


def leave(store: Store, now: datetime, name: str) -> None:
    """This worker ends as it was told to: nobody misses it, unless it was the last one."""
    with store.begin() as db:
        others = select(WorkerSeen.name).where(WorkerSeen.name != name, WorkerSeen.at >= now - WORKER_LATE)
        db.execute(delete(WorkerSeen).where(WorkerSeen.name == name, others.exists()))


def last_beat(store: Store) -> datetime | None:
    """When any worker last said it lives; None for never."""
    with store.begin() as db:
        return db.scalar(select(func.max(WorkerSeen.at)))


def ready(store: Store) -> datetime | None:
    """As `last_beat`, where the app can work at all. Raises NotReady, or TransactionPooling."""
    try:
        store.refuse_transaction_pooling()
        with store.begin() as db:
            if not standing(db).suits:
                raise NotReady("not_migrated")
        return last_beat(store)
    except (SQLAlchemyError, psycopg.Error):
        raise NotReady("no_database") from None


def is_late(seen: datetime | None, now: datetime) -> bool:
    """Nothing goes on by itself: no worker said for a while that it lives."""
    return seen is None or seen < now - WORKER_LATE
