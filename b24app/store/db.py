"""One PostgreSQL, reached by one small pool a process.

A frozen process must not hold a row: every connection ends an idle transaction and a wait for a lock after 15 s and
keeps TCP alive. The pool opens lazily, so it is made after gunicorn forks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from psycopg.conninfo import make_conninfo
from sqlalchemy import Engine, QueuePool, create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from b24app.deadline import remaining

POOL, OVERFLOW = 6, 2
QUEUE_POOL = 3  # the worker's engine asks little; a small host gives 20 connections in all
POOL_WAIT_SECONDS = 10
LOCK_SECONDS = 15
# Who waits for a row must outlast whoever was frozen while holding it, so the lock's time is the longer one.
SESSION_OPTIONS = f"-c idle_in_transaction_session_timeout=12s -c lock_timeout={LOCK_SECONDS}s -c timezone=UTC"
KEEPALIVE = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "connect_timeout": 10}


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
    def conninfo(self) -> str:
        """The same database with the same limits, for the job queue, which opens its own connections."""
        return make_conninfo(self.url, options=SESSION_OPTIONS, application_name="sundown queue", **KEEPALIVE)

    @cached_property
    def engine(self) -> Engine:
        """The pool, made at first use."""
        return create_engine(
            self.url.replace("postgresql://", "postgresql+psycopg://", 1),
            poolclass=HurriedPool,
            pool_size=self._pool,
            max_overflow=OVERFLOW,
            pool_timeout=POOL_WAIT_SECONDS,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"options": SESSION_OPTIONS, "application_name": "sundown", **KEEPALIVE},
        )

    @cached_property
    def _sessions(self) -> sessionmaker[Session]:
        return sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        with self._sessions.begin() as db:
            yield db

    def close(self) -> None:
        """Give the connections back; the next use opens new ones."""
        self.engine.dispose()
