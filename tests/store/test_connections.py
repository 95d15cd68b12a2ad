"""Connections to the database: when they open, how many there are, and what each is told for the worst case."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import requests
from sqlalchemy import text

from b24app import jobs
from b24app.services import Services
from b24app.store import db as stores
from b24app.store.connections import KEEPALIVE
from b24app.store.db import OVERFLOW, POOL, QUEUE_POOL
from b24sandbox import StandIn
from tests.people import Person
from tests.processes import Web, Worker, wait_until

LIMITS = {"idle_in_transaction_session_timeout": "12s", "lock_timeout": "15s", "TimeZone": "UTC"}
OURS = text(
    "select application_name, count(*) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid() group by 1"
)


def open_now(services: Services) -> dict[str, int]:
    """Connections to this test's database by name, without the asker's."""
    with services.store.begin() as db:
        return dict(db.execute(OURS).all())


def test_every_connection_of_the_app_gives_up_in_time_and_keeps_tcp_alive(services: Services):
    with services.store.begin() as db:
        said = {name: db.scalar(text(f"show {name}")) for name in LIMITS}
        raw: Any = db.connection().connection.driver_connection

    assert said == LIMITS
    assert {name: int(raw.info.get_parameters()[name]) for name in KEEPALIVE} == KEEPALIVE


def test_every_connection_of_the_queue_does_so_too(services: Services):
    engine = jobs.tasks(services)

    async def ask() -> list[tuple[dict[str, str], dict[str, int]]]:
        wire: Any = engine.connector
        async with engine.open_async(), wire.pool.connection() as pooled, wire._get_standalone_connection() as listener:
            return [await told(each) for each in (pooled, listener)]

    async def told(connection: Any) -> tuple[dict[str, str], dict[str, int]]:
        limits = {name: (await (await connection.execute(f"show {name}")).fetchone())[0] for name in LIMITS}
        return limits, {name: int(connection.info.get_parameters()[name]) for name in KEEPALIVE}

    assert asyncio.run(ask()) == [(LIMITS, KEEPALIVE)] * 2


def test_the_limits_leave_a_waiting_process_time_to_outlast_a_frozen_one():
    idle, lock = (int(LIMITS[name].removesuffix("s")) for name in list(LIMITS)[:2])

    assert idle < lock


@pytest.mark.process
def test_a_web_process_opens_few_connections_and_only_after_the_fork(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str]
):
    services.store.close()
    with Web(environment | {"GUNICORN_CMD_ARGS": "--preload"}, threads=20) as web:
        assert open_now(services).get("sundown", 0) == 0

        def ask(_: int) -> int:
            return requests.get(f"{web.url}/pages", headers=alice.headers(), timeout=60).status_code

        with ThreadPoolExecutor(40) as crew:
            answers = set(crew.map(ask, range(200)))

        assert answers == {200}
        assert 0 < open_now(services)["sundown"] <= POOL + OVERFLOW


@pytest.mark.process
def test_a_worker_of_many_threads_takes_few_connections(
    alice: Person, charlie: Person, services: Services, environment: dict[str, str]
):
    lids = alice.portal.add_pages(60, site=3)
    for person in (alice, charlie):
        person.unpublish(*(lids if person is alice else (351, 352)))
    services.store.close()

    with Worker(environment | {"WORKER_THREADS": "64"}):
        wait_until(lambda: not any(alice.portal.page(lid).active for lid in lids), 60)
        found = open_now(services)

    assert found["sundown queue"] <= QUEUE_POOL + 1, "one more listens"
    assert found.get("sundown", 0) <= POOL + OVERFLOW


@pytest.mark.parametrize("times", [1, 3])
def test_connections_lost_to_a_restart_of_the_database_are_replaced_unseen(
    alice: Person, services: Services, times: int
):
    for _ in range(times):
        with services.store.begin() as db:
            db.execute(text("select 1"))
        services_lose_everything(services)

        assert alice.get("/runs").status_code == 200


def test_a_connection_that_ended_without_a_word_is_found_after_a_rest(
    alice: Person, services: Services, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stores, "_has_word", lambda _connection: False)  # as where a network forgets a connection
    monkeypatch.setattr(stores, "IDLE_SECONDS", 0.0)
    services_lose_everything(services)

    assert alice.get("/runs").status_code == 200


def services_lose_everything(services: Services) -> None:
    """The server ends every connection of the app, as it does when it restarts; they are gone when this returns."""
    whom = "datname = current_database() and pid <> pg_backend_pid()"
    with psycopg.connect(services.store.url, autocommit=True) as other:
        other.execute(f"select pg_terminate_backend(pid, 5000) from pg_stat_activity where {whom}")
