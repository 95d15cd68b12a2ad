"""One PostgreSQL, reached by one small pool a process.

A frozen process must not hold a row: every connection ends an idle transaction and a wait for a lock after 15 s and
keeps TCP alive. The pool opens lazily, so it is made after gunicorn forks.
"""

import math
import random
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property, partial, wraps
from typing import ParamSpec, TypeVar

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from sqlalchemy import Dialect, Engine, QueuePool, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from b24app.deadline import remaining

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()

POOL, OVERFLOW = 6, 2
QUEUE_POOL = 3  # the worker's engine asks little; a small host gives 20 connections in all
POOL_WAIT_SECONDS = 10
PING_AFTER_SECONDS = 1.0
LOCK_SECONDS = 15
# Who waits for a row must outlast whoever was frozen while holding it, so the lock's time is the longer one.
SESSION_OPTIONS = f"-c idle_in_transaction_session_timeout=12s -c lock_timeout={LOCK_SECONDS}s -c timezone=UTC"
HELD = {"key_share": True}  # FOR NO KEY UPDATE: does not stop rows elsewhere that only name this one
NoConnection = PoolTimeout  # none of the pool was free in time: neither a DBAPIError nor Python's TimeoutError
PASSING = ("40P01", "55P03", "40001")  # deadlock, lock time-out, serialization: nothing was written, so do it again
TRIES, LONGEST_SECONDS, PAUSE_SECONDS = 5, 20.0, 0.05
KEEPALIVE = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "connect_timeout": 10}


class HurriedPool(QueuePool):
    """The usual pool, whose waits end with the deadline of the request that waits."""

    @property
    def _timeout(self) -> float:  # an attribute there
        return remaining(self._own_timeout)

    @_timeout.setter
    def _timeout(self, seconds: float) -> None:
        self._own_timeout = seconds


def _note_use(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


def _ping_idle(dialect: Dialect, wire: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
    """Whether a connection that lay idle still lives; where it does not, the pool opens another. Of one that was just
    used it is enough that the database said nothing since, as it does when it ends one: a ping is a way there and back.
    """
    try:
        if time.monotonic() - record.info.get("used_at", -math.inf) < PING_AFTER_SECONDS and not _has_news(wire):
            return
        alive = dialect.do_ping(wire)
    except dialect.dbapi.Error:  # type: ignore[union-attr]  # the module of the driver, which is there
        alive = False
    if not alive:
        raise DisconnectionError()


def _has_news(wire: DBAPIConnection) -> bool:
    """Whether anything came that nobody has read, the end of the connection included."""
    waiting = select.poll()
    waiting.register(wire.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


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
    def conninfo(self) -> str:
        """The same database with the same limits, for the job queue, which opens its own connections."""
        return make_conninfo(self.url, options=SESSION_OPTIONS, application_name="sundown queue", **KEEPALIVE)

    @cached_property
    def engine(self) -> Engine:
        """The pool, made at first use."""
        engine = create_engine(
            self.url.replace("postgresql://", "postgresql+psycopg://", 1),
            poolclass=HurriedPool,
            pool_size=self._pool,
            max_overflow=OVERFLOW,
            pool_timeout=POOL_WAIT_SECONDS,
            hide_parameters=True,
            connect_args={"options": SESSION_OPTIONS, "application_name": "sundown", **KEEPALIVE},
        )
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", partial(_ping_idle, engine.dialect))
        return engine

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
            with psycopg.connect(self.conninfo, autocommit=True) as connection:
                row = connection.execute("select clock_timestamp()").fetchone()
        except psycopg.Error:
            return None
        return row[0] if row else None

    def close(self) -> None:
        """Give the connections back; the next use opens new ones."""
        self.engine.dispose()


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
                if not _passes(error) or time.monotonic() - began > remaining(LONGEST_SECONDS):
                    raise
                log.info("transaction_repeated", work=work.__qualname__, code=_code(error), number=number)
                time.sleep(PAUSE_SECONDS * number * (1 + random.random()))  # noqa: S311  so that two do not meet again
        return work(*args, **kwargs)

    return until_done


def _code(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _passes(error: DBAPIError) -> bool:
    return _code(error) in PASSING
