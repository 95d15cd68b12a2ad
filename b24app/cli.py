"""`flask b24 …`: the operator's commands.

Each takes only what it needs of the environment, so that it helps where the rest is broken: `keys` needs nothing,
`doctor` nothing, most need DATABASE_URL alone. What goes wrong is one line with the name and the remedy, and exit
code 1; a wrong way to call a command is exit code 2.
"""

import base64
import json
import math
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import click
import structlog
from sqlalchemy.exc import DBAPIError, ProgrammingError

from b24app import config
from b24app.domain import RunState
from b24app.operations.admin import Admin, EventLine, PortalLine, RunLine, UnknownPortal
from b24app.operations.retention import Retention
from b24app.services import database_url_of_environment
from b24app.store.connections import TransactionPooling
from b24app.store.db import Store

MARKS = {"ok": "ok", "note": "note", "wrong": "WRONG"}
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
PORTAL_HELP = "A portal by its domain or member_id."


@click.group()
def b24() -> None:
    """Sundown's own commands. `flask b24 COMMAND --help` tells more of each."""


def is_asked_for() -> bool:
    """Whether this process is `flask b24 …`: then a broken environment must not keep the command from helping."""
    return os.environ.get("FLASK_RUN_FROM_CLI") == "true" and "b24" in sys.argv[1:]


# --- what needs nothing ------------------------------------------------------------------------------------------


@b24.command()
def keys() -> None:
    """Print fresh SECRET_KEY and TOKEN_KEYS.

    The lines are NAME=value, ready for an environment file. To change keys that are in use, put the new value and a
    comma in front of the old one.
    """
    click.echo(f"SECRET_KEY={secrets.token_urlsafe(48)}")
    click.echo(f"TOKEN_KEYS={base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}")


@b24.command()
def doctor() -> None:
    """Look for what may be wrong: settings, address, database, worker, keys, Bitrix24.

    One line for each thing, with the remedy. Exit code 1 when something is wrong; notes do not count. Nothing is
    changed; the authorization servers are asked whether they accept the application's credentials.
    """
    from b24app.operations import doctor as doctors

    wrong = 0
    for finding in doctors.examine():
        wrong += finding.state == "wrong"
        click.echo(f"{finding.what:<12} {MARKS[finding.state]:<6} {finding.words}")
    if wrong:
        raise SystemExit(1)


@b24.command()
def worker() -> None:
    """Carry out runs until SIGTERM or Ctrl-C says to stop; batches in flight are finished first."""
    import asyncio

    from b24app import jobs, log, services
    from b24app.memory import share_heaps

    settings = config.load()
    share_heaps()
    log.setup(settings)
    structlog.get_logger().info("worker_starts", threads=settings.worker_threads)
    try:
        asyncio.run(jobs.work(services.build(settings)))
    except TransactionPooling as pooled:
        raise config.ConfigError(str(pooled)) from None


# --- what needs the database -------------------------------------------------------------------------------------


@contextmanager
def _store() -> Iterator[Store]:
    """The database of the environment; its failures become one line."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is for what was asked
    store = Store(database_url_of_environment(kept=True), pool=1)
    try:
        with _in_words():
            yield store
    finally:
        store.close()


@contextmanager
def _admin() -> Iterator[Admin]:
    """The operator's orders on the database of the environment."""
    with _store() as store:
        yield Admin(store)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except UnknownPortal as unknown:
        raise click.ClickException(f"{unknown}; `flask b24 portals` lists them") from None
    except ProgrammingError:
        raise click.ClickException("the tables are missing or of another version; run `alembic upgrade head`") from None
    except DBAPIError as error:
        reason = type(error.orig).__name__
        words = f"DATABASE_URL: the database cannot be used ({reason}); check the address and that PostgreSQL runs"
        raise click.ClickException(words) from None


@b24.command()
@click.option("--stopped", is_flag=True, help="Only those where the app's work is stopped.")
@as_json
def portals(stopped: bool, as_json: bool) -> None:
    """List every portal: its state, people, living tokens and runs that have not ended.

    The state is open, uninstalled, or Bitrix24's word for why the app's work is stopped there. A stopped portal is
    asked again by the worker at ASK_AGAIN_AT, and goes on by itself when it says yes.
    """
    with _admin() as admin:
        _show(admin.portals(stopped), PortalLine, as_json)


@b24.command()
@as_json
def events(as_json: bool) -> None:
    """List events of Bitrix24 that were taken and are not worked off yet, the oldest first.

    An event is tried again by the worker at DUE_AT. ATTEMPTS grows while it fails; CONTRADICTED says how often the
    portal was asked about a removal and said that the app is still there.
    """
    with _admin() as admin:
        _show(admin.events(), EventLine, as_json)


@b24.command()
@click.option("--portal", help=PORTAL_HELP)
@click.option(
    "--state", "states", multiple=True, type=click.Choice([s.value for s in RunState]), help="May be repeated."
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many, newest first.")
@as_json
def runs(portal: str | None, states: Sequence[str], limit: int, as_json: bool) -> None:
    """List the newest runs, with what they wait for.

    `flask b24 runs --state waiting` shows all that needs a person. Titles of pages and reasons are not shown.
    """
    with _admin() as admin:
        _show(admin.runs(portal, [RunState(state) for state in states], limit), RunLine, as_json)


@b24.group()
def purge() -> None:
    """Delete a portal's data, or old entries of the log of requests."""


@purge.command("portal")
@click.argument("portal")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge_portal(portal: str, yes: bool) -> None:
    """Delete all that is kept of PORTAL (domain or member_id), for good.

    Users, tokens, runs with their history, scheduled work and the log of requests. The portal itself is not touched:
    whoever opens the app there begins anew.
    """
    with _admin() as admin:
        kept = admin.data_counts(portal)
        words = f"{kept.domain}: {kept.people} people, {kept.runs} runs and {kept.calls} logged requests"
        if not yes:
            click.confirm(f"{words} will be deleted for good. Go on?", abort=True)
        admin.forget(kept.member_id)
        click.echo(f"{words} are deleted.")


@purge.command("log")
@click.option("--days", type=click.IntRange(3, 90), help="Keep the last so many days.  [default: API_LOG_DAYS]")
def purge_log(days: int | None) -> None:
    """Delete logged requests and answers that are older than some days; the Market wants three kept.

    The worker does the same each hour with API_LOG_DAYS.
    """
    settings = config.load_retention()
    with _store() as store:
        log = Retention(store, settings.history_months, days or settings.api_log_days)
        click.echo(f"{log.forget_calls()} entries are deleted.")


@b24.command()
@click.option("--now", is_flag=True, help="Let it go now, not with the worker's next look.")
def retention(now: bool) -> None:
    """Show what has been kept long enough: ended runs, people nobody needs, dead tokens, logged requests.

    The worker lets it go each hour. HISTORY_MONTHS says how long runs are kept, API_LOG_DAYS how long the log is. Shown
    are the people who can go now; those whose last run goes follow with it.
    """
    settings = config.load_retention()
    with _store() as store:
        kept = Retention(store, settings.history_months, settings.api_log_days)
        due = kept.carry_out(math.inf) if now else kept.due()
        click.echo(
            f"Runs are kept that ended after {kept.kept_since:%Y-%m-%d}, requests of {settings.api_log_days} days."
        )
        words = "are deleted" if now else "can go"
        click.echo(f"{due.runs} runs, {due.people} people, {due.tokens} tokens and {due.calls} requests {words}.")


@b24.group()
def sessions() -> None:
    """End sessions of people in the app."""


@sessions.command("end")
@click.option("--portal", help=PORTAL_HELP)
@click.option("--user", type=int, help="Only this user id of the portal.")
@click.option("--all", "everybody", is_flag=True, help="Everybody on every portal.")
def end_sessions(portal: str | None, user: int | None, everybody: bool) -> None:
    """Make session tokens useless at once; people reopen the app to go on, runs are not touched."""
    if everybody == bool(portal) or (user is not None and not portal):
        raise click.UsageError("Give --portal, --portal with --user, or --all.")
    with _admin() as admin:
        ended = admin.end_sessions(portal, user)
        click.echo("The person's sessions have ended." if user is not None else f"Sessions ended on {ended} portals.")


@b24.command("rotate-keys")
def rotate_keys() -> None:
    """Seal every stored token anew with the first of TOKEN_KEYS, while the app works.

    \b
    1. Put the new key and a comma in front of the old one in TOKEN_KEYS, and restart every process with it.
    2. Run this. It may be stopped at any time and started again: it goes on where it was.
    3. When it says that all is done, take the old key out of TOKEN_KEYS and restart.

    Exit code 1 when something is left that none of the keys can open.
    """
    from b24app.store.vault import Vault
    from b24app.tokens.key_rotation import Progress, Rotation

    store = Store(database_url_of_environment(kept=True), pool=1)
    settings = config.load_keys()
    progress = Progress()
    with _in_words():
        for progress in Rotation(store, Vault(settings.vault_keys)).run():
            click.echo(f"{progress.done} sealed anew, {progress.left} to go")
    store.close()
    if progress.closed:
        raise click.ClickException(
            f"TOKEN_KEYS: {progress.closed} tokens cannot be opened with any of the keys; put the lost key back as the "
            "last one and run this again, or let these people reopen the app"
        )
    click.echo("All tokens are sealed with the newest key; older keys can be taken out of TOKEN_KEYS.")


# --- how it is shown ---------------------------------------------------------------------------------------------


def _show(lines: Sequence[Any], kind: type[Any], as_json: bool) -> None:
    """Records as aligned columns, or as a JSON list."""
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], default=_plain, indent=1))
        return
    names = [field.name for field in fields(kind)]
    rows = [[name.upper() for name in names], *([_cell(getattr(line, name)) for name in names] for line in lines)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(names))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "-" if value is None else str(value)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
