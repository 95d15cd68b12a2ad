"""What stands between the app and PostgreSQL: options of the address, and PgBouncer in each of its modes."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import requests
from psycopg.conninfo import conninfo_to_dict

from b24app.services import Services, build
from b24app.store.connections import LIMITS, OURS, Place, TransactionPooling
from b24sandbox import StandIn
from tests import forks
from tests.conftest import make_app, make_config
from tests.databases import execute, migrate
from tests.people import Person
from tests.ports import free_port
from tests.processes import Web, Worker, wait_until
from tests.worker import work_until_idle

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
HAS_POOLER = pytest.mark.skipif(PGBOUNCER is None, reason="no PgBouncer on this machine: Debian's package `pgbouncer`")
SCHEMA = "elsewhere"
Pooled = Callable[..., str]


def with_option(url: str, options: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}options={quote(options)}"


# --- options of the address ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "settings"), [
    ("-csearch_path=x", {"search_path": "x"}),
    ("-c search_path=x,y -c statement_timeout=5s", {"search_path": "x,y", "statement_timeout": "5s"}),
    (r"--search-path=a\ b", {"search_path": "a b"}),
    ("-c lock_timeout=1s", {"lock_timeout": "1s"}),
    ("-c timezone=Asia/Tokyo", {}),
    ("", {}),
])  # fmt: skip
def test_settings_of_the_address_are_set_after_connecting(options: str, settings: dict[str, str]):
    place = Place.of(with_option("postgresql://me:secret@db.example/app?sslmode=require", options), "sundown")
    told = {**LIMITS, **settings, **OURS}

    assert {name: value for name, value in place.settings.items() if name in told} == told
    parts = conninfo_to_dict(place.conninfo)
    assert "options" not in parts
    assert (parts["host"], parts["sslmode"], parts["application_name"]) == ("db.example", "require", "sundown")


def test_an_option_that_is_no_setting_is_left_to_postgresql():
    place = Place.of(with_option("postgresql://db.example/app", "-s -c search_path=x"), "sundown")

    assert conninfo_to_dict(place.conninfo)["options"] == "-s -c search_path=x"
    assert "search_path" not in place.settings


@pytest.mark.process
def test_a_search_path_in_the_address_holds_for_migrations_web_and_worker(
    own_database_url: str, environment: dict[str, str], standin: StandIn
):
    execute(own_database_url, "drop schema public cascade", "create schema public", f"create schema {SCHEMA}")
    url = with_option(own_database_url, f"-csearch_path={SCHEMA}")
    migrate(url)
    built = build(make_config(environment | {"DATABASE_URL": url}))
    app = make_app(built)
    administrator = Person(app, standin.portals[0], "admin")

    assert administrator.install().status_code == 200
    standin.portals[0].finish_install()
    alice = Person(app, standin.portals[0], "editor").opened()
    alice.unpublish(351, 352)
    work_until_idle(built)
    ready = app.test_client().get("/readyz")

    built.close()
    assert ready.status_code == 200
    assert not alice.portal.page(352).active
    with psycopg.connect(own_database_url) as other:
        here = other.execute("select schemaname, count(*) from pg_tables where tablename = 'runs' group by 1")
        assert here.fetchall() == [(SCHEMA, 1)]


# --- PgBouncer -----------------------------------------------------------------------------------------------------


@contextmanager
def pgbouncer(folder: Path, url: str, mode: str, *more: str) -> Iterator[str]:
    """A PgBouncer with its own settings, but for the mode and more, in front of the server of `url`; its address."""
    to = conninfo_to_dict(url)
    server = " ".join(f"{name}={to[name]}" for name in ("host", "port", "user", "password") if name in to)
    port, settings = free_port(), folder / f"{mode}.ini"
    lines = [
        "[databases]", f"* = {server}", "[pgbouncer]", "listen_addr = 127.0.0.1", f"listen_port = {port}",
        "unix_socket_dir =", "auth_type = any", f"pool_mode = {mode}", f"pidfile = {folder / mode}.pid", *more,
    ]  # fmt: skip
    settings.write_text("\n".join(lines))
    folder.chmod(0o777)
    settings.chmod(0o644)
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None  # it refuses to be root
    running = subprocess.Popen(
        [str(PGBOUNCER), "-q", str(settings)], user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"postgresql://postgres@127.0.0.1:{port}/{to['dbname']}"
        wait_until(lambda: answers(address))
        yield address
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(10)


def answers(address: str) -> bool:
    try:
        psycopg.connect(address, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def pooled(tmp_path: Path, own_database_url: str) -> Iterator[Pooled]:
    """A pooler of a mode in front of this test's database."""
    short = Path(f"/tmp/pooler-{os.getpid()}-{time.monotonic_ns()}")  # noqa: S108  where root's other user gets
    short.mkdir()
    open_ones = []

    def start(mode: str, *more: str) -> str:
        pooler = pgbouncer(short, own_database_url, mode, *more)
        open_ones.append(pooler)
        return pooler.__enter__()

    yield start
    for pooler in open_ones:
        pooler.__exit__(None, None, None)
    shutil.rmtree(short)


@HAS_POOLER
@pytest.mark.process
def test_web_and_worker_do_their_work_through_a_pooler_in_session_mode(
    pooled: Pooled, environment: dict[str, str], ada: Person, alice: Person, services: Services
):
    through = environment | {"DATABASE_URL": with_option(pooled("session"), "-csearch_path=public")}

    with Web(through) as web, Worker(through):
        assert requests.get(f"{web.url}/readyz", timeout=10).status_code == 200
        order = requests.post(
            f"{web.url}/runs", json={"action": "unpublish", "lids": [351, 352]}, headers=alice.headers(), timeout=30
        )
        assert order.status_code == 201, order.text
        wait_until(lambda: not alice.portal.page(351).active and not alice.portal.page(352).active)
        doctor = forks.run(through, "-m", "flask", "--app", "app", "b24", "doctor")

    assert "one in session mode stands in front" in doctor.stdout
    assert "lock_timeout = 15s" in doctor.stdout
    assert "search_path = public" in doctor.stdout
    assert forks.run(through, "-m", "alembic", "upgrade", "head").returncode == 0


@HAS_POOLER
@pytest.mark.process
def test_a_pooler_in_transaction_mode_is_refused_in_words_at_every_start(pooled: Pooled, environment: dict[str, str]):
    through = environment | {"DATABASE_URL": pooled("transaction"), "PORT": str(free_port())}
    starts = {
        "web": ("-m", "gunicorn", "-c", "gunicorn.conf.py", "app:app"),
        "worker": ("-m", "flask", "--app", "app", "b24", "worker"),
        "release": ("-m", "alembic", "upgrade", "head"),
        "doctor": ("-m", "flask", "--app", "app", "b24", "doctor"),
    }

    said = {name: forks.run(through, *command) for name, command in starts.items()}

    for name, done in said.items():
        assert done.returncode != 0, name
        assert "DATABASE_URL: this is a pooler in transaction mode" in done.stdout + done.stderr, name
        assert "Traceback" not in done.stderr, name


@HAS_POOLER
@pytest.mark.process
@pytest.mark.parametrize("more", ["default_pool_size = 20", "server_round_robin = 1", "default_pool_size = 1"])
def test_a_pooler_in_transaction_mode_is_detected_under_any_traffic(
    pooled: Pooled, environment: dict[str, str], more: str
):
    address = pooled("transaction", more)
    busy = [psycopg.connect(address, autocommit=True) for _ in range(3)]
    for each in busy:
        each.execute("select 1")

    with pytest.raises(TransactionPooling):
        Place.of(address, "sundown").refuse_transaction_pooling()

    for each in busy:
        each.close()


def test_nothing_is_taken_for_a_pooler_that_is_none(services: Services):
    services.store.refuse_transaction_pooling()

    assert services.store.place.is_pooled() is False
    assert services.store.place.told() == {}


def test_readiness_names_a_pooler_that_cannot_work(services: Services, app, monkeypatch: pytest.MonkeyPatch):
    def refuse() -> None:
        raise TransactionPooling

    monkeypatch.setattr(services.store, "refuse_transaction_pooling", refuse)

    answer = app.test_client().get("/readyz")

    assert (answer.status_code, answer.json["status"]) == (503, "transaction_pooling")
    assert "session mode" in answer.json["detail"]
