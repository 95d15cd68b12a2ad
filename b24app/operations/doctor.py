"""Looks for everything an operator can get wrong, in the order in which one thing needs the other.

Each finding is one line: what, how it stands, and the remedy. What cannot be known because something before it is
missing is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPException
from typing import Literal
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from b24app import config, services
from b24app.bitrix.oauth import NOBODYS
from b24app.config import Config
from b24app.errors import NotGenuine, OperatorError, Problem
from b24app.operations.backlog import Backlog
from b24app.services import Services
from b24app.store.connections import DatabaseError, TransactionPooling
from b24app.store.heartbeat import is_late
from b24app.store.models import WorkerSeen
from b24app.store.programs import EmbeddedError
from b24app.store.schema import Standing, standing
from b24app.tokens.key_rotation import Rotation

FEW_CONNECTIONS = 20
REACH_SECONDS = 5
CLOCK_OFF, EVENT_LATE = timedelta(seconds=5), timedelta(minutes=5)
State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor."""

    what: str
    state: State
    words: str


def examine() -> Iterator[Finding]:
    """Everything, one after the other."""
    problems = config.problems()
    if problems:
        yield from (Finding("settings", "wrong", problem) for problem in problems)
        return
    settings = config.load()
    yield Finding("settings", "ok", "complete")
    yield _address(settings)
    yield _reached(settings)
    try:
        built = services.build(settings)
    except EmbeddedError as error:
        yield Finding("database", "wrong", f"DATABASE_URL is not set, and the embedded one does not start: {error}")
        return
    try:
        yield from _database(built)
        yield from _servers(built)
    finally:
        built.close()


def _address(settings: Config) -> Finding:
    parts = urlsplit(settings.app_url)
    if settings.is_public:
        return Finding("address", "ok", f"{settings.app_url} is public")
    if settings.is_loopback:
        return Finding("address", "note", "APP_URL is this machine's own: good for development, no portal can reach it")
    if parts.scheme != "https":
        return Finding(
            "address", "wrong", "APP_URL: Bitrix24 opens only https addresses; put a proxy with TLS in front"
        )
    return Finding("address", "note", "APP_URL is private: only self-hosted portals in the same network can reach it")


def _reached(settings: Config) -> Finding:
    """Whether the app answers at its own address; from inside a network that may fail where the world succeeds."""
    direct = build_opener(ProxyHandler({}))
    try:
        with direct.open(f"{settings.app_url}/healthz", timeout=REACH_SECONDS) as answer:
            ours = answer.status == HTTPStatus.OK and b'"status"' in answer.read(200)
    except HTTPError:
        ours = False
    except (OSError, HTTPException) as error:
        words = f"no answer at {settings.app_url}/healthz from here ({getattr(error, 'reason', error)})"
        return Finding("web", "note", f"{words}; start the web processes, or look at the proxy in front")
    if not ours:
        return Finding("web", "wrong", f"{settings.app_url}/healthz is answered by something else; check APP_URL")
    return Finding("web", "ok", f"answers at {settings.app_url}")


def _database(built: Services) -> Iterator[Finding]:
    try:
        with built.store.begin() as db:
            allowed = int(db.scalar(text("show max_connections")) or 0)
            off = abs((db.scalar(select(func.now())) or datetime.now(UTC)) - datetime.now(UTC))
            stands = standing(db)
        connections = list(_connections(built))
    except (SQLAlchemyError, DatabaseError) as error:
        words = f"cannot be reached ({type(error).__name__}); check DATABASE_URL and that PostgreSQL runs"
        yield Finding("database", "wrong", words)
        return
    where = "answers" if built.config.database_url else "the embedded one (development) answers"
    few = f", but allows only {allowed} connections: a web process takes up to 8, a worker 12"
    yield Finding("database", "note" if allowed < FEW_CONNECTIONS else "ok", where + few * (allowed < FEW_CONNECTIONS))
    yield from connections
    if off > CLOCK_OFF:
        yield Finding("clock", "wrong", f"differs from the database's by {off.seconds} s; synchronise both (NTP)")
    yield _migrations(stands)
    if stands.suits:
        yield _worker(built)
        yield from _undone(built)
        yield _keys(built)


def _connections(built: Services) -> Iterator[Finding]:
    """What stands between us and PostgreSQL, and whether connections keep what they are told."""
    place = built.store.place
    try:
        place.refuse_transaction_pooling()
    except TransactionPooling as pooled:
        yield Finding("pooler", "wrong", str(pooled))
        return
    if place.is_pooled():
        yield Finding("pooler", "ok", "one in session mode stands in front of the database")
    lost = [f"{name} is {found!r} instead of {wanted!r}" for name, (wanted, found) in place.told().items()]
    if lost:
        words = f"connections do not keep what they are told: {', '.join(lost)}; give PostgreSQL's own address"
        yield Finding("limits", "wrong", words)
    else:
        settings = ", ".join(f"{name} = {value}" for name, value in place.settings.items())
        yield Finding("limits", "ok", f"connections keep what they are told: {settings}")


def _migrations(stands: Standing) -> Finding:
    if stands is Standing.NEWER:
        words = "newer than this version: fine while a deploy or a rollback passes; ask the new one's doctor, too"
        return Finding("migrations", "note", words)
    if not stands.suits:
        return Finding("migrations", "wrong", f"the tables are {stands}; run `alembic upgrade head`")
    return Finding("migrations", "ok", "as this version needs them")


def _worker(built: Services) -> Finding:
    with built.store.begin() as db:
        seen = {row.name: row.at for row in db.scalars(select(WorkerSeen).order_by(WorkerSeen.at.desc()))}
    now, start = built.clock(), "start one with `flask --app app b24 worker`"
    if not seen:
        return Finding("worker", "wrong", f"never seen; {start}")
    silent = [f"{name} last seen {at:%Y-%m-%d %H:%M} UTC" for name, at in seen.items() if is_late(at, now)]
    if len(silent) == len(seen):
        return Finding("worker", "wrong", f"{', '.join(silent)}; {start}")
    living = ", ".join(f"{name} seen {(now - at).seconds} s ago" for name, at in seen.items() if not is_late(at, now))
    if silent:
        return Finding("worker", "note", f"{living}; silent: {', '.join(silent)}; start it again if it is missed")
    return Finding("worker", "ok", living)


def _undone(built: Services) -> Iterator[Finding]:
    """What lies undone; not a fault of the settings, so none of it is wrong."""
    now = built.clock()
    with built.store.begin() as db:
        backlog = Backlog.of(db, now)
    if backlog.stopped_portals:
        causes = ", ".join(f"{number} × {code}" for code, number in sorted(backlog.stopped_portals.items()))
        yield Finding("portals", "note", f"stopped: {causes}; see `flask b24 portals --stopped`")
    if backlog.late_runs:
        words = f"{backlog.late_runs} are late: nobody begins them; look at the worker's log"
        yield Finding("runs", "note", words)
    if backlog.waiting_runs:
        words = f"{backlog.waiting_runs} wait for a person or a cause to end; see `flask b24 runs --state waiting`"
        yield Finding("runs", "note", words)
    if backlog.oldest_event_at is not None and backlog.oldest_event_at < now - EVENT_LATE:
        words = f"{backlog.inbox_events} are not worked off, the oldest of {backlog.oldest_event_at:%Y-%m-%d %H:%M} UTC"
        yield Finding("events", "note", f"{words}; see `flask b24 events`")


def _keys(built: Services) -> Finding:
    found = Rotation(built.store, built.vault).keys()
    closed = sum(rows for key, rows in found.items() if not built.vault.knows(key))
    old = sum(rows for key, rows in found.items() if built.vault.knows(key) and key != built.vault.newest)
    if closed:
        words = f"{closed} stored tokens cannot be opened; put the key back into TOKEN_KEYS, after the newest"
        return Finding("keys", "wrong", words)
    if old:
        return Finding("keys", "note", f"{old} stored tokens are sealed with an older key; run `flask b24 rotate-keys`")
    return Finding("keys", "ok", f"{sum(found.values())} stored tokens are sealed with the newest key")


def _servers(built: Services) -> Iterator[Finding]:
    """Whether each authorization server answers, and what the first that does says of our credentials."""
    answering = []
    for server in built.config.oauth_urls:
        try:
            built.oauth.app_info(server, NOBODYS)
        except NotGenuine:
            answering.append(server)
            yield Finding("server", "ok", f"{server} answers")
        except Problem as silent:
            words = (
                f"{server} gives no usable answer ({silent.code}); check B24_OAUTH_URL and the way out of this network"
            )
            yield Finding("server", "wrong", words)
    if answering:
        yield _credentials(built, answering[0])


def _credentials(built: Services, server: str) -> Finding:
    try:
        built.oauth.check_credentials(server)
    except OperatorError as refused:
        name = "B24_CLIENT_ID" if refused.code.lower() == "wrong_client" else "B24_CLIENT_SECRET"
        return Finding("credentials", "wrong", f"{name}: refused ({refused.code}); copy it from the application's card")
    except Problem as unclear:
        return Finding("credentials", "note", f"could not be checked ({unclear.code})")
    return Finding("credentials", "ok", "the authorization server accepts them")
