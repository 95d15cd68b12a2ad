"""`flask b24 …`: the operator's commands. Each loads only what it needs, so that it helps where settings are broken."""

import asyncio
import base64
import secrets

import click
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from b24app import config, log
from b24app.store.db import Store


@click.group()
def b24() -> None:
    """Sundown's own commands."""


@b24.command()
def keys() -> None:
    """Print fresh SECRET_KEY and TOKEN_KEYS as NAME=value lines."""
    click.echo(f"SECRET_KEY={secrets.token_urlsafe(48)}")
    click.echo(f"TOKEN_KEYS={base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}")


@b24.command()
def doctor() -> None:
    """Check the settings, the database and the migrations; one line each, exit code 1 when something is wrong."""
    try:
        settings = config.load()
    except config.ConfigError as error:
        click.echo(f"settings    wrong: {error}")
        raise SystemExit(1) from None
    click.echo("settings    ok")
    _check_database(settings)


def _check_database(settings: config.Config) -> None:
    from b24app.store.schema import is_current

    if settings.database_url is None:
        click.echo("database    the embedded one (development): starts with the app")
        return
    store = Store(settings.database_url.get_secret_value(), pool=1)
    try:
        with store.begin() as db:
            db.execute(text("select 1"))
            current = is_current(db)
    except SQLAlchemyError as error:
        click.echo(f"database    cannot be reached ({type(error).__name__}); check DATABASE_URL and that it runs")
        raise SystemExit(1) from None
    finally:
        store.close()
    click.echo("database    ok")
    if not current:
        click.echo("migrations  missing; run `alembic upgrade head`")
        raise SystemExit(1)
    click.echo("migrations  ok")


@b24.command()
def worker() -> None:
    """Carry out runs until a signal says to stop."""
    from b24app import jobs, services

    settings = config.load()
    log.setup(settings)
    structlog.get_logger().info("worker_starts", threads=settings.worker_threads)
    asyncio.run(jobs.work(services.build(settings)))
