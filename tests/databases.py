"""Databases of tests: migrations run once, into a template; a test gets a copy of it, new or emptied.

The tests of one process share one copy, emptied before each of them: a few milliseconds, where a new copy takes a
hundred and more. Those that start processes, a browser or migrations get a copy of their own, which nobody uses after
them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from alembic import command
from alembic.config import Config as AlembicConfig

from b24app.store.db import Store
from b24app.store.models import Base
from b24app.store.schema import MIGRATIONS

TEMPLATE = "sundown_template"
# The queue's tables by their references, as ours are sorted: what refers to a row is deleted before it.
QUEUE_TABLES = (
    "procrastinate_events",
    "procrastinate_periodic_defers",
    "procrastinate_jobs",
    "procrastinate_workers",
)
TABLES = (*QUEUE_TABLES, *(table.name for table in reversed(Base.metadata.sorted_tables)))
KEPT = "kept"
# Connections of the test before end, but for those that wait in the shared store's pool, which are used again.
LET_GO = (
    "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
    " where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()"
    f" and (state <> 'idle' or application_name <> '{KEPT}')"
)
COUNT_FROM_ONE = (
    "select setval(format('%I.%I', schemaname, sequencename), 1, false) from pg_sequences where last_value is not null"
)
EMPTY = ";".join((LET_GO, *(f"delete from {table}" for table in TABLES), COUNT_FROM_ONE))


def template_name() -> str:
    """One template for each process of a parallel run."""
    return f"{TEMPLATE}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


def make_template(server_url: str) -> None:
    """The template on this server, made anew."""
    drop_template(server_url)
    execute(server_url, f"create database {template_name()}")
    migrate(database(server_url, template_name()))


def drop_template(server_url: str) -> None:
    execute(server_url, f"drop database if exists {template_name()}")


@contextmanager
def copied(server_url: str) -> Iterator[str]:
    """The address of a new copy of the template, which is dropped at the end of the block."""
    name = f"test_{os.getpid()}_{os.urandom(4).hex()}"
    execute(server_url, f"create database {name} template {template_name()} strategy file_copy")
    yield database(server_url, name)
    execute(server_url, f"drop database {name} with (force)")


class SharedDatabase:
    """A copy that many tests use, one after the other."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.store = Store(
            f"{url}{'&' if '?' in url else '?'}application_name={KEPT}"
        )  # connects, and compiles its statements, only once
        self._connection: psycopg.Connection | None = None

    def empty(self) -> None:
        """Make it as good as new; what the test before left open is ended first."""
        try:
            self._execute(EMPTY)
        except psycopg.OperationalError:  # the test before ended every connection
            self.close()
            self._execute(EMPTY)

    def _execute(self, statements: str) -> None:
        self.connection().execute(statements.encode())

    def connection(self) -> psycopg.Connection:
        """The one that empties it."""
        if self._connection is None:
            self._connection = psycopg.connect(self.url, autocommit=True)
        return self._connection

    def close(self) -> None:
        """Give the connections back."""
        self.store.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def database(url: str, name: str) -> str:
    """The same server, another database."""
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}{'?' + query if query else ''}"


def migrate(url: str) -> None:
    """Bring a database to the newest revision."""
    command.upgrade(alembic_of(url), "head")


def alembic_of(url: str) -> AlembicConfig:
    """The migrations, for commands of alembic over this database."""
    alembic = AlembicConfig()
    alembic.set_main_option("script_location", str(MIGRATIONS))
    alembic.attributes["url"] = url
    return alembic


def execute(url: str, *statements: str) -> None:
    """Each statement in a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
