"""Alembic's entry: our models are the target, Procrastinate's tables are its own and are left out of comparisons.

Migrations run while the app works. Who runs them waits for whoever does so already, and is then done; a migration that
does not get its lock in a moment lets go and comes again, so that nobody queues behind it; and tables that are newer
than this code are left alone, so that the `release` step of a rollback succeeds.
"""

import random
import sys
import time

from alembic import context
from alembic.runtime.environment import NameFilterParentNames, NameFilterType
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from b24app.config import ConfigError
from b24app.services import database_url_of_environment
from b24app.store.connections import DatabaseError, Place, TransactionPooling
from b24app.store.db import DIALECT
from b24app.store.models import Base
from b24app.store.schema import Standing, newest, standing_of

IGNORED = "procrastinate_"
TURN = 1_398_096_974  # the number of our advisory lock: any, so long as it stays the same
# Others wait no longer behind a migration that waits. And less than PostgreSQL takes to look for deadlocks (1 s): where
# a migration and somebody's transaction wait for each other, the migration is the one to let go.
LOCK_MILLISECONDS = 500
GIVE_UP_SECONDS, PAUSE_SECONDS, TURN_SECONDS = 600, 1.0, 0.2
BUSY = ("55P03", "40P01")  # no lock in time, deadlock: the migration was rolled back


def is_ours(name: str | None, kind: NameFilterType, parents: NameFilterParentNames) -> bool:
    """Whether autogenerate and `alembic check` look at this name."""
    return not (kind == "table" and (name or "").startswith(IGNORED))


def migrate() -> None:
    """Run the migrations on one connection, each in its own transaction."""
    place = Place.of(context.config.attributes.get("url") or database_url_of_environment(), "sundown migrations")
    try:
        place.refuse_transaction_pooling()
    except TransactionPooling as pooled:
        raise ConfigError(str(pooled)) from None
    except DatabaseError as away:
        words = f"DATABASE_URL: the database cannot be used ({type(away).__name__}); check the address and that it runs"
        raise ConfigError(words) from None
    engine = create_engine(DIALECT, creator=place.connect)
    try:
        with engine.connect() as connection:
            _take_turn(connection)
            if not _left_alone(connection):
                _again_until_done(connection)
    finally:
        engine.dispose()


def _take_turn(connection: Connection) -> None:
    """One at a time; the lock goes with the connection. Who waits is in no transaction meanwhile: an index that is
    built without holding a table waits for the end of all that are open.
    """
    connection.execute(text("set idle_in_transaction_session_timeout = 0"))  # a migration may think
    connection.execute(text(f"set lock_timeout = {LOCK_MILLISECONDS}"))
    connection.commit()
    while not connection.scalar(text("select pg_try_advisory_lock(:turn)"), {"turn": TURN}):
        connection.commit()
        time.sleep(TURN_SECONDS)
    connection.commit()


def _left_alone(connection: Connection) -> bool:
    """Whether it was asked to bring newer tables to this code's revision: there is nothing to do."""
    try:
        wanted = context.get_revision_argument()
    except KeyError:  # no command that changes anything
        return False
    found = MigrationContext.configure(connection).get_current_heads()
    connection.rollback()
    if wanted != newest() or standing_of(list(found)) is not Standing.NEWER:
        return False
    _say(f"the tables are newer ({', '.join(found)}) than this version needs ({wanted}): nothing to do")
    return True


def _again_until_done(connection: Connection) -> None:
    until = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            _run(connection)
            return
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) not in BUSY or time.monotonic() > until:
                raise
            connection.rollback()
        _say("a table is in use, the migration will try again")
        time.sleep(PAUSE_SECONDS * (1 + random.random()))  # noqa: S311  so that it does not keep meeting the same work


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=is_ours,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _say(words: str) -> None:
    sys.stderr.write(f"migrations: {words}\n")
    sys.stderr.flush()


migrate()
