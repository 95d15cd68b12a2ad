"""Deploys and rollbacks pass over each other, while people work: old code on new tables, new code on old ones."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import requests

from b24app.store.schema import Standing, newest, standing_of
from tests import forks
from tests.databases import alembic_of, execute
from tests.people import Person
from tests.processes import Process, Web, Worker, wait_until

pytestmark = pytest.mark.process

NEXT = "9999"
# What a newer version may do to tables that older code still uses: add.
NEXT_MIGRATION = f'''
"""what the next version adds"""
import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{newest()}"


def upgrade() -> None:
    op.add_column("runs", sa.Column("next_one", sa.Text()))
    op.add_column("run_items", sa.Column("next_one", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("users", sa.Column("next_one", sa.Text()))
    op.create_table("next_table", sa.Column("id", sa.BigInteger(), primary_key=True))
    with op.get_context().autocommit_block():
        op.create_index("ix_runs_next_one", "runs", ["next_one"], postgresql_concurrently=True)


def downgrade() -> None:
    op.drop_table("next_table")
    for table in ("users", "run_items", "runs"):
        op.drop_column(table, "next_one")
'''
ALEMBIC_OF_NEXT = """
import sys
from alembic import command
from tests.databases import alembic_of
alembic = alembic_of(sys.argv[1])
alembic.set_main_option("path_separator", "newline")
alembic.set_main_option("version_locations", sys.argv[2])
getattr(command, sys.argv[3])(alembic, sys.argv[4])
"""
UPGRADE = ("-m", "alembic", "upgrade", "head")


@pytest.fixture
def next_version(tmp_path: Path) -> tuple[str, ...]:
    """The program that brings a database to the tables of the next version."""
    (tmp_path / f"{NEXT}_next.py").write_text(NEXT_MIGRATION)
    ours = Path(str(alembic_of("").get_main_option("script_location"))) / "versions"
    return ("-c", ALEMBIC_OF_NEXT, "%URL%", f"{ours}\n{tmp_path}", "upgrade", "head")


def with_url(command: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(environment["DATABASE_URL"] if word == "%URL%" else word for word in command)


def revision(environment: Mapping[str, str]) -> str:
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        row = connection.execute("select version_num from alembic_version").fetchone()
    assert row
    return str(row[0])


class Traffic:
    """Somebody who opens lists and takes a page down and up again, without a pause."""

    def __init__(self, url: str, person: Person) -> None:
        self.statuses: Counter[tuple[str, int]] = Counter()
        self._url, self._person, self._over = url, person, threading.Event()
        self._rounds = 0
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def _go_on(self) -> None:
        action = "unpublish"
        while not self._over.is_set():
            for path in ("/pages", "/runs", "/news", "/runs.csv", "/readyz"):
                self._ask("GET", path)
            self._ask("POST", "/runs", {"action": action, "lids": [351]})
            self._ask("POST", "/runs", {"action": action, "lids": [352, 353]})
            action = "publish" if action == "unpublish" else "unpublish"
            self._rounds += 1

    def _ask(self, method: str, path: str, body: object = None) -> None:
        answer = requests.request(
            method, f"{self._url}{path}", json=body, headers=self._person.headers(), timeout=40
        )  # fmt: skip
        self.statuses[f"{method} {path}", answer.status_code] += 1

    def goes_on(self, rounds: int = 1) -> None:
        """Wait for whole rounds from now on."""
        goal = self._rounds + rounds + 1
        wait_until(lambda: self._rounds >= goal or not self._thread.is_alive(), 60)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    def bad(self) -> dict[tuple[str, int], int]:
        """Answers that no person should get."""
        return {asked: number for asked, number in self.statuses.items() if asked[1] >= 400}


@contextmanager
def held(environment: Mapping[str, str], table: str) -> Iterator[None]:
    """Somebody reads this table in a transaction that does not end."""
    with psycopg.connect(environment["DATABASE_URL"]) as reader:
        reader.execute(f"select count(*) from {table}".encode())
        yield


# --- old code, new tables ------------------------------------------------------------------------------------------


def test_old_code_serves_traffic_during_and_after_a_migration(
    alice: Person, environment: dict[str, str], next_version: tuple[str, ...]
):
    with Web(environment) as web, Worker(environment) as worker, Traffic(web.url, alice) as traffic:
        traffic.goes_on()
        with held(environment, "run_items"):  # so that the migration has to come again
            migration = Process(environment, *with_url(next_version, environment))
            with migration:
                migration.wait_for("will try again")
                traffic.goes_on()
                assert revision(environment) != NEXT
                waiting = migration.poll()
        assert waiting is None
        assert forks.run(environment, *with_url(next_version, environment)).returncode == 0
        assert revision(environment) == NEXT
        traffic.goes_on()

        with Web(environment) as rolled_back, Traffic(rolled_back.url, alice) as more:
            more.goes_on()

        assert traffic.bad() == more.bad() == {}
        assert worker.poll() is None
        doctor = forks.run(environment, "-m", "flask", "--app", "app", "b24", "doctor")

    assert "newer than this version" in doctor.stdout
    assert "WRONG" not in "".join(line for line in doctor.stdout.splitlines() if line.startswith(("migr", "worker")))
    assert forks.run(environment, "-m", "flask", "--app", "app", "b24", "runs").returncode == 0


def test_the_release_step_of_a_rollback_succeeds_and_changes_nothing(
    environment: dict[str, str], next_version: tuple[str, ...]
):
    assert forks.run(environment, *with_url(next_version, environment)).returncode == 0

    rollback = forks.run(environment, *UPGRADE)

    assert rollback.returncode == 0, rollback.stderr
    assert f"the tables are newer ({NEXT})" in rollback.stderr
    assert revision(environment) == NEXT
    assert forks.run(environment, *with_url(next_version, environment)).returncode == 0, "and forward again"


# --- new code, old tables ------------------------------------------------------------------------------------------


def test_new_code_on_old_tables_answers_what_it_can_and_recovers_by_itself(alice: Person, environment: dict[str, str]):
    alice.unpublish(351, 352)
    assert forks.run(environment, "-m", "alembic", "downgrade", "-1").returncode == 0
    execute(environment["DATABASE_URL"], "alter table runs rename column reason to not_there_yet")

    with Web(environment) as web, Worker(environment) as worker:
        worker.wait_for("worker_waits")
        ready = requests.get(f"{web.url}/readyz", timeout=10)
        lists = {
            path: requests.get(f"{web.url}{path}", headers=alice.headers(), timeout=30)
            for path in ("/app", "/healthz", "/privacy")
        }
        order = requests.post(
            f"{web.url}/runs", json={"action": "publish", "lids": [351, 352]}, headers=alice.headers(), timeout=30
        )
        assert alice.portal.page(351).active, "nobody works before the migration"

        execute(environment["DATABASE_URL"], "alter table runs rename column not_there_yet to reason")
        assert forks.run(environment, *UPGRADE).returncode == 0
        wait_until(lambda: requests.get(f"{web.url}/readyz", timeout=30).status_code == 200, 60)
        wait_until(lambda: not alice.portal.page(351).active, 60)

    assert (ready.status_code, ready.json()["status"]) == (503, "not_migrated")
    assert "alembic upgrade head" in ready.json()["detail"]
    assert {path: answer.status_code for path, answer in lists.items()} == dict.fromkeys(lists, 200)
    assert (order.status_code, order.json()["code"]) == (503, "app_updating")
    assert int(order.headers["Retry-After"]) > 0


def test_how_tables_stand_to_the_code_is_told_from_their_revisions():
    assert standing_of([]) is Standing.MISSING
    assert standing_of([newest()]) is Standing.CURRENT
    assert standing_of(["0001"]) is Standing.OLDER
    assert standing_of([NEXT]) is Standing.NEWER
    assert standing_of([newest(), NEXT]) is Standing.NEWER


# --- two at once ---------------------------------------------------------------------------------------------------


def test_two_migrations_at_once_both_succeed(environment: dict[str, str]):
    execute(environment["DATABASE_URL"], "drop schema public cascade", "create schema public")

    with Process(environment, *UPGRADE) as one, Process(environment, *UPGRADE) as other:
        codes = one.wait(60), other.wait(60)

    assert codes == (0, 0), one.said() + other.said()
    assert revision(environment) == newest()
