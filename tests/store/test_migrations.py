"""The migrations as the operator runs them: the command line, with nothing but DATABASE_URL in the environment."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from b24app.store import embedded
from b24app.store.schema import newest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
UNADDRESSED = {
    "PATH": os.environ["PATH"], "B24_CLIENT_ID": "app.1", "B24_CLIENT_SECRET": "s3cret-of-the-app",
    "SECRET_KEY": "k" * 40, "TOKEN_KEYS": base64.urlsafe_b64encode(b"v" * 32).decode(),
}  # fmt: skip
IN_FOLDER = """
import sys
from pathlib import Path
from b24app.store import embedded
embedded.DEFAULT = Path(sys.argv[1])
"""
RELEASE = f"{IN_FOLDER}from alembic.config import main\nmain(['upgrade', 'head'])"
PORTALS = f"{IN_FOLDER}from b24app.cli import b24\nb24(['portals'])"
LEFT_BEHIND = """
select relname from pg_class where relnamespace = 'public'::regnamespace and relname not like 'alembic_version%'
union all select proname from pg_proc where pronamespace = 'public'::regnamespace
union all select typname from pg_type where typnamespace = 'public'::regnamespace and typname not like '%alembic%'
"""


OLD_ITEM = (
    "insert into run_items (run_id, position, lid, state)"
    " values (md5('run')::uuid, %(position)s, %(position)s, 'pending')"
)
OF_BEFORE = (
    "insert into portals (member_id, domain, client_endpoint, oauth_server, scope, status, app_version, epoch,"
    " installed_at) values ('a', 'a', '', '', '', 'L', 1, 1, now())",
    "insert into runs (id, member_id, action, kind, state, created_by, created_name, acting_as, acting_name,"
    " created_at) values (md5('run')::uuid, 'a', 'unpublish', 'PAGE', 'scheduled', 1, '', 1, '', now())",
    "insert into run_items (run_id, position, lid, state) select md5('run')::uuid, n, n, 'pending'"
    " from generate_series(1, 4) n",
    "insert into procrastinate_jobs (queue_name, task_name, args, scheduled_at)"
    " select 'default', 'begin_run', jsonb_build_object('run', name), now() + ahead"
    " from (values ('near', interval '5 minutes'), ('far', interval '1 day')) jobs (name, ahead)",
)


def alembic(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": database_url}
    command = [sys.executable, "-m", "alembic", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_models_ask_for_nothing_the_migrations_do_not_make(database_url: str) -> None:
    answer = alembic(database_url, "check")

    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_migration_can_be_taken_back_and_made_again(database_url: str) -> None:
    down = alembic(database_url, "downgrade", "base")

    assert down.returncode == 0, down.stderr
    with psycopg.connect(database_url) as connection:
        assert connection.execute(LEFT_BEHIND).fetchall() == []

    again = alembic(database_url, "upgrade", "head")

    assert again.returncode == 0, again.stderr
    assert alembic(database_url, "check").returncode == 0


def test_an_upgrade_gives_pages_their_portal_and_unqueues_far_dates(database_url: str) -> None:
    assert alembic(database_url, "downgrade", "0009").returncode == 0
    with psycopg.connect(database_url) as connection:
        for statement in OF_BEFORE:
            connection.execute(statement)

    upgraded = alembic(database_url, "upgrade", "head")

    assert upgraded.returncode == 0, upgraded.stderr
    with psycopg.connect(database_url) as connection:
        connection.execute(OLD_ITEM, {"position": 5})  # as code of before writes one
        portals = connection.execute("select distinct member_id, count(*) from run_items group by 1").fetchall()
        jobs = connection.execute("select args->>'run' from procrastinate_jobs").fetchall()
    assert portals == [("a", 5)]
    assert jobs == [("near",)]


def test_an_upgrade_goes_on_where_one_before_was_stopped(database_url: str) -> None:
    assert alembic(database_url, "downgrade", "0011").returncode == 0
    stopped = ("ix_runs_at", "ix_runs_doubtful")
    indexes = (
        "select indexrelid::regclass::text, indexrelid, indisvalid from pg_index where indrelid = 'runs'::regclass"
    )
    with psycopg.connect(database_url) as connection:
        connection.execute("create index ix_runs_due on runs (at) where state = 'scheduled'")
        connection.execute("create index ix_runs_at on runs (member_id, at) where at is not null")
        connection.execute("create index ix_runs_doubtful on runs (state) where at is not null")
        for name in stopped:
            connection.execute(f"update pg_index set indisvalid = false where indexrelid = '{name}'::regclass")
        before = {name: oid for name, oid, _valid in connection.execute(indexes)}

    upgraded = alembic(database_url, "upgrade", "head")

    assert upgraded.returncode == 0, upgraded.stderr
    with psycopg.connect(database_url) as connection:
        after = {name: (oid, valid) for name, oid, valid in connection.execute(indexes)}
    assert after["ix_runs_due"] == (before["ix_runs_due"], True)
    assert [name for name in stopped if after[name][0] == before[name]] == []
    assert all(valid for _oid, valid in after.values())


def test_there_is_one_newest_migration(database_url: str) -> None:
    heads = alembic(database_url, "heads").stdout.split("\n")

    assert len([line for line in heads if line.strip()]) == 1
    assert heads[0].split()[0] == newest()


@pytest.mark.parametrize(
    "address", ["", "mysql://localhost/sundown", "postgres://[nowhere", "postgres://me:canary@127.0.0.1:9/none"]
)
def test_a_wrong_database_address_is_one_line_naming_the_variable(address: str) -> None:
    answer = alembic(address, "upgrade", "head")

    assert answer.returncode != 0
    assert answer.stderr.strip().startswith("DATABASE_URL:")
    assert "canary" not in answer.stderr
    assert len(answer.stderr.strip().split("\n")) == 1


def on_a_new_machine(script: str, folder: Path, app_url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, str(folder)]
    environment = UNADDRESSED | {"APP_URL": app_url}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False)


def test_with_no_address_the_release_makes_an_embedded_database(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"

    released, told = (on_a_new_machine(script, folder, "http://127.0.0.1:8100") for script in (RELEASE, PORTALS))
    embedded.remove(folder)

    assert (released.returncode, released.stderr) == (0, "")
    assert (told.returncode, told.stderr) == (0, "")


def test_a_public_app_with_no_address_is_refused_and_gets_none(tmp_path: Path) -> None:
    for script in (RELEASE, PORTALS):
        answer = on_a_new_machine(script, tmp_path / "postgres", "https://sundown.example.com")

        assert answer.returncode != 0
        assert answer.stderr.strip() == "DATABASE_URL: required when APP_URL is public; give a PostgreSQL address"
    assert not (tmp_path / "postgres").exists()
