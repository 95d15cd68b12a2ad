"""The drill of docs/operations.md, "Restore": a backup is older than the refresh tokens, and what happens then."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from b24app.cli import b24 as commands
from b24app.services import Services, build
from b24app.store.programs import program
from b24sandbox import StandIn
from tests import databases
from tests.clocks import TurnableClock
from tests.conftest import Turn, make_app, make_config
from tests.people import Person, body_of, run_id_of
from tests.worker import work_until_idle

pytestmark = pytest.mark.process

UNPUBLISH = "landing.landing.unpublic"


def run(name: str, *arguments: str | Path) -> None:
    done = subprocess.run([program(name), *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def restored_url(server_url: str, own_database_url: str) -> Iterator[str]:
    """An empty database on the same server."""
    name = f"{psycopg.conninfo.conninfo_to_dict(own_database_url)['dbname']}_restored"
    databases.execute(server_url, f"create database {name}")
    yield databases.database(server_url, name)
    databases.execute(server_url, f"drop database {name} with (force)")


def test_after_a_restore_people_reopen_and_no_work_is_done_twice(
    alice: Person, services: Services, environment: dict[str, str], restored_url: str, tmp_path: Path,
    turn: Turn, clock: TurnableClock, standin: StandIn,
):  # fmt: skip
    backup = tmp_path / "sundown.dump"
    soon, later = clock() + timedelta(hours=2), clock() + timedelta(days=3)
    at = {when: when.isoformat(timespec="seconds") for when in (soon, later)}
    done_before = run_id_of(alice.unpublish(351, at=at[soon]))
    to_come = run_id_of(alice.unpublish(353, at=at[later]))
    run("pg_dump", "--format=custom", "--no-owner", "--file", backup, services.store.url)
    turn(until=soon + timedelta(minutes=1))
    work_until_idle(services)  # the run is done, with a token that was renewed for it
    session_of_before = alice.opened().token
    assert body_of(alice.get(f"/runs/{done_before}"))["state"] == "succeeded"
    services.close()

    run("pg_restore", "--no-owner", "--exit-on-error", "--dbname", restored_url, backup)
    shell = CliRunner(env=environment | {"DATABASE_URL": restored_url})
    ended = shell.invoke(commands, ["sessions", "end", "--all"])
    built = build(make_config(environment | {"DATABASE_URL": restored_url}), clock=clock, jitter=lambda: 0.0)
    app = make_app(built)
    work_until_idle(built)
    figures = app.test_client().get("/metrics").text
    waiting = shell.invoke(commands, ["runs", "--state", "waiting"]).output
    back = Person(app, alice.portal, "editor")
    back.token = session_of_before
    refused = back.get("/runs").status_code
    sent = alice.portal.asked(UNPUBLISH)
    back.opened()
    work_until_idle(built)
    shown = {name: body_of(back.get(f"/runs/{name}")) for name in (done_before, to_come)}
    built.close()

    assert (ended.exit_code, refused) == (0, 401), "sessions of before do not come back with the tables"
    assert "sundown_waiting_runs 1.0" in figures
    assert "sundown_dead_tokens 1.0" in figures
    assert done_before in waiting
    assert shown[done_before]["items"][0]["state"] == "skipped", "it met the page as it was wanted"
    assert alice.portal.asked(UNPUBLISH) == sent, "and sent nothing for it"
    assert shown[to_come]["state"] == "scheduled"
    assert not alice.portal.page(351).active
