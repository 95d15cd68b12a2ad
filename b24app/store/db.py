"""One PostgreSQL, reached by one small pool a process.

What each connection is told for the worst case stands in `connections`. The pool opens lazily, so it is made after
gunicorn forks.
"""

import random
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property, wraps
from typing import ParamSpec, TypeVar

import psycopg
import structlog
from sqlalchemy import Engine, QueuePool, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from b24app.deadline import remaining
from b24app.store.connections import LOCK_SECONDS, Place

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()

DIALECT = "postgresql+psycopg://"  # the address itself is psycopg's to read, so all it may say holds
POOL, OVERFLOW = 6, 2
QUEUE_POOL = 3  # the worker's engine asks little; a small host gives 20 connections in all
POOL_WAIT_SECONDS = 10
IDLE_SECONDS = 5.0  # a connection that rested longer is asked whether it still works
RESTING_SINCE = "resting_since"
HELD = {"key_share": True}  # FOR NO KEY UPDATE: does not stop rows elsewhere that only name this one
DatabaseFailure = DBAPIError
NoConnection = PoolTimeout  # none of the pool was free in time: neither a DBAPIError nor Python's TimeoutError
PASSING = ("40P01", "55P03", "40001")  # deadlock, lock time-out, serialization: nothing was written, so do it again
TRIES, LONGEST_SECONDS, PAUSE_SECONDS = 5, 20.0, 0.05


class HurriedPool(QueuePool):
    """The usual pool, whose waits end with the deadline of the request that waits."""

    @property
    def _timeout(self) -> float:  # an attribute there
        return remaining(self._own_timeout)

    @_timeout.setter
    def _timeout(self, seconds: float) -> None:
        self._own_timeout = seconds


def hurry(db: Session) -> None:
    """Let this transaction wait for locked rows no longer than the request has time."""
    milliseconds = max(1, round(remaining(LOCK_SECONDS) * 1000))
    db.execute(text(f"set local lock_timeout = {milliseconds}"))


class Store:
    """Opens transactions; nothing else in the app opens a connection of its own but the job queue."""

    def __init__(self, url: str, pool: int = POOL) -> None:
        self.url = url
        self._pool = pool

    @cached_property
    def place(self) -> Place:
        """The database, and what each connection of the pool is told."""
        return Place.of(self.url, "sundown")

    @cached_property
    def queue_place(self) -> Place:
        """The same for the job queue, which opens its own connections."""
        return Place.of(self.url, "sundown queue")

    @cached_property
    def engine(self) -> Engine:
        """The pool, made at first use."""
        engine = create_engine(
            DIALECT,
            creator=self.place.connect,
            poolclass=HurriedPool,
            pool_size=self._pool,
            max_overflow=OVERFLOW,
            pool_timeout=POOL_WAIT_SECONDS,
            hide_parameters=True,
        )
        event.listen(engine, "checkin", _rest)
        event.listen(engine, "checkout", _refuse_dead)
        return engine

    @cached_property
    def _kept_by_sessions(self) -> bool:
        self.place.refuse_transaction_pooling()
        return True

    def refuse_transaction_pooling(self) -> None:
        """Raises TransactionPooling; psycopg.Error when nobody answers. Asked until it was well once."""
        _ = self._kept_by_sessions

    @cached_property
    def _sessions(self) -> sessionmaker[Session]:
        return sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        with self._sessions.begin() as db:
            yield db

    def clock_timestamp(self) -> datetime | None:
        """What time the database has; None when it cannot be asked.

        On a connection of its own: who asks may hold one of the pool, and others may wait for what that one holds.
        """
        try:
            with self.place.connect(autocommit=True) as connection:
                row = connection.execute("select clock_timestamp()").fetchone()
        except psycopg.Error:
            return None
        return row[0] if row else None

    def close(self) -> None:
        """Give the connections back; the next use opens new ones."""
        self.engine.dispose()


def _rest(_connection: object, entry: ConnectionPoolEntry) -> None:
    entry.info[RESTING_SINCE] = time.monotonic()


def _refuse_dead(connection: psycopg.Connection, entry: ConnectionPoolEntry, _proxy: object) -> None:
    """Have the pool make new connections in place of those that rested, where one died. Raises InvalidatePoolError.

    An end the server told of, by its own words or by closing the socket, waits there to be read, which takes no round
    trip to see. A network that forgot the connection tells nobody, but not within seconds: so after those it is asked.
    """
    since = entry.info.get(RESTING_SINCE)
    if since is None:  # just made
        return
    try:
        if _has_word(connection) or time.monotonic() - since >= IDLE_SECONDS:
            connection.execute("")
            connection.rollback()
    except psycopg.Error as error:
        raise InvalidatePoolError from error


def _has_word(connection: psycopg.Connection) -> bool:
    """Whether something came from the server unasked."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def repeated(work: Callable[P, T]) -> Callable[P, T]:
    """Do `work` again when the database took its transaction back: a deadlock, or a row that was held for too long.

    For whatever does nothing but read and write in one transaction of its own. Not again after twenty seconds, so a row
    that stays held is an error in the end.
    """

    @wraps(work)
    def until_done(*args: P.args, **kwargs: P.kwargs) -> T:
        began = time.monotonic()
        for number in range(1, TRIES):
            try:
                return work(*args, **kwargs)
            except DBAPIError as error:
                if not is_passing(error) or time.monotonic() - began > remaining(LONGEST_SECONDS):
                    raise
                log.info("transaction_repeated", work=work.__qualname__, code=_code(error), number=number)
                time.sleep(PAUSE_SECONDS * number * (1 + random.random()))  # noqa: S311  so that two do not meet again
        return work(*args, **kwargs)

    return until_done


def is_passing(error: DatabaseFailure) -> bool:
    """Whether the database took a transaction back for no fault of it: doing it again will do."""
    return _code(error) in PASSING


def _code(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")
