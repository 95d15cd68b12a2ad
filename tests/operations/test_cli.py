"""The operator's commands, as a person runs them: in a shell, with whatever environment there is."""

import base64
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import func, select, text, update

from b24app.cli import b24 as commands
from b24app.domain import RunState, UserRef
from b24app.services import Services, build
from b24app.store.models import ApiCall, InboxEvent, Portal, Run, User, UserToken, WorkerSeen
from b24app.store.vault import fingerprint
from b24app.tokens.user_tokens import place
from b24sandbox import StandIn
from tests import forks
from tests.clocks import TurnableClock
from tests.conftest import make_config
from tests.people import Person
from tests.portals.test_events import removal, send
from tests.processes import ROOT, Process, Web
from tests.worker import work_until_idle

NEW_KEY = base64.urlsafe_b64encode(b"n" * 32).decode()


def b24(environment: dict[str, str], *words: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    """`flask --app app b24 …` with this environment and nothing else."""
    return forks.run(environment, "-m", "flask", "--app", "app", "b24", *words, answer=answer)


def started(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """The same from the very start of Python."""
    command = [sys.executable, "-m", "flask", "--app", "app", "b24", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False)


def line_of(done: subprocess.CompletedProcess[str], what: str) -> str:
    """The doctor's line on one thing."""
    lines = [line for line in done.stdout.splitlines() if line.startswith(f"{what} ")]
    assert len(lines) == 1, done.stdout + done.stderr
    return lines[0]


# --- where nothing works -----------------------------------------------------------------------------------------


@pytest.mark.process
def test_keys_are_made_without_any_environment_and_are_good_ones(environment: dict[str, str]):
    done = started({}, "keys")

    assert done.returncode == 0, done.stderr
    made = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert made.keys() == {"SECRET_KEY", "TOKEN_KEYS"}
    config = make_config(environment | made)
    assert (len(config.session_keys), len(config.vault_keys)) == (1, 1)
    assert b24({}, "keys").stdout != done.stdout


NOT_INSTALLED = """
import importlib.metadata, sys
importlib.metadata.entry_points = lambda **_: ()
sys.argv = ["flask", "--app", "app", "b24", *sys.argv[1:]]
from flask.cli import main
main()
"""


@pytest.mark.process
@pytest.mark.parametrize(("words", "code", "says"), [
    (["keys"], 0, "TOKEN_KEYS="), (["doctor"], 1, "APP_URL: missing"), (["worker"], 1, "B24_CLIENT_ID: missing"),
])  # fmt: skip
def test_hosts_that_install_only_the_requirements_have_the_commands_too(words: list[str], code: int, says: str):
    done = subprocess.run(
        [sys.executable, "-c", NOT_INSTALLED, *words], cwd=ROOT, env={}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip

    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.process
def test_the_doctor_names_every_missing_variable_with_its_remedy():
    done = started({}, "doctor")

    assert done.returncode == 1
    for name in ("B24_CLIENT_ID", "B24_CLIENT_SECRET", "APP_URL", "SECRET_KEY", "TOKEN_KEYS"):
        assert f"WRONG  {name}: missing; " in done.stdout
    assert "flask b24 keys" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.process
@pytest.mark.parametrize("words", [("worker",), ("rotate-keys",), ("portals",)])
def test_a_command_that_lacks_something_says_so_in_one_line(words: tuple[str, ...]):
    done = b24({}, *words)

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.split(":")[0] in ("B24_CLIENT_ID", "DATABASE_URL")


@pytest.mark.process
def test_programs_of_the_tests_find_no_database_in_the_checkout():
    asked = "from b24app.services import embedded; print(embedded.DEFAULT)"

    found = Path(forks.run({}, "-c", asked).stdout.strip())

    assert found.suffix == ".postgres"
    assert not found.is_relative_to(ROOT)


@pytest.mark.process
@pytest.mark.parametrize("words", [("portals",), ("purge", "log")])
def test_a_database_out_of_reach_is_one_line_without_its_password(words: tuple[str, ...]):
    done = b24({"DATABASE_URL": "postgres://me:canary-password@127.0.0.1:9/none"}, *words)

    assert done.returncode == 1
    assert done.stderr.startswith("Error: DATABASE_URL: ")
    assert len(done.stderr.splitlines()) == 1
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.parametrize("words", [
    ("sessions", "end"), ("sessions", "end", "--user", "1"), ("sessions", "end", "--all", "--portal", "x"),
    ("runs", "--state", "sleeping"), ("purge",), ("purge", "log", "--days", "1"), ("purge", "portal"), ("dance",),
])  # fmt: skip
def test_a_wrong_call_is_told_how_to_call(words: tuple[str, ...]):
    done = CliRunner().invoke(commands, words)

    assert done.exit_code == 2
    assert "Usage:" in done.output


@pytest.mark.process
def test_every_command_has_help_in_a_broken_environment():
    broken = {"DATABASE_URL": "nonsense", "SECRET_KEY": "weak"}

    assert "rotate-keys" in b24(broken, "--help").stdout
    for words in (
        (),
        *((name,) for name in commands.commands),
        ("purge", "portal"),
        ("purge", "log"),
        ("sessions", "end"),
    ):
        told = CliRunner(env=broken).invoke(commands, [*words, "--help"])
        assert told.exit_code == 0
        assert len(told.output.splitlines()) > 4


# --- the doctor --------------------------------------------------------------------------------------------------


@pytest.mark.process
def test_the_doctor_finds_nothing_wrong_where_all_is_well(
    ada: Person, environment: dict[str, str], services: Services, standin: StandIn
):
    with services.store.begin() as db:
        db.add(WorkerSeen(name="worker", at=services.clock()))

    done = b24(environment, "doctor")

    assert done.returncode == 0, done.stdout
    assert "WRONG" not in done.stdout
    assert "1 stored tokens are sealed with the newest key" in line_of(done, "keys")
    assert "accepts them" in line_of(done, "credentials")
    assert done.stdout.count("\nserver ") == len(standin.world.servers)


@pytest.mark.process
@pytest.mark.parametrize(("change", "what", "words"), [
    ({"B24_CLIENT_SECRET": "wrong"}, "credentials", "B24_CLIENT_SECRET: refused (invalid_client)"),
    ({"B24_CLIENT_ID": "app.wrong"}, "credentials", "B24_CLIENT_ID: refused (wrong_client)"),
    ({"B24_OAUTH_URL": "http://127.0.0.1:9"}, "server", "check B24_OAUTH_URL"),
    ({"TOKEN_KEYS": NEW_KEY}, "keys", "put the key back into TOKEN_KEYS"),
    ({"APP_URL": "http://sundown.example.com"}, "address", "only https"),
    ({"DATABASE_URL": "postgres://me@127.0.0.1:9/none"}, "database", "check DATABASE_URL"),
    ({"SECRET_KEY": "short"}, "settings", "SECRET_KEY: each key needs at least 32 characters"),
])  # fmt: skip
def test_the_doctor_names_what_is_wrong_and_the_remedy(
    ada: Person, environment: dict[str, str], change: dict[str, str], what: str, words: str
):
    done = b24(environment | change, "doctor")

    assert done.returncode == 1
    assert "WRONG" in line_of(done, what)
    assert words in line_of(done, what)
    assert "Traceback" not in done.stderr


@pytest.mark.process
def test_the_doctor_misses_a_worker_and_migrations(environment: dict[str, str], server_url: str, services: Services):
    assert "never seen; start one" in line_of(b24(environment, "doctor"), "worker")
    with services.store.begin() as db:
        db.add(WorkerSeen(name="worker", at=services.clock() - timedelta(hours=3)))
    assert "last seen" in line_of(b24(environment, "doctor"), "worker")

    done = b24(environment | {"DATABASE_URL": server_url}, "doctor")

    assert "alembic upgrade head" in line_of(done, "migrations")


@pytest.mark.process
def test_the_doctor_asks_whether_the_app_answers_at_its_address(environment: dict[str, str], standin: StandIn):
    with Web(environment) as web:
        assert "answers at" in line_of(b24(environment | {"APP_URL": web.url}, "doctor"), "web")

    assert "note" in line_of(b24(environment | {"APP_URL": web.url}, "doctor"), "web")
    assert "something else" in line_of(b24(environment | {"APP_URL": standin.portals[0].url}, "doctor"), "web")


@pytest.mark.process
def test_the_doctor_asks_for_a_rotation_when_keys_are_mixed(ada: Person, environment: dict[str, str]):
    mixed = environment | {"TOKEN_KEYS": f"{NEW_KEY},{environment['TOKEN_KEYS']}"}

    assert "rotate-keys" in line_of(b24(mixed, "doctor"), "keys")


# --- portals, runs, purge, sessions ------------------------------------------------------------------------------


@pytest.mark.process
def test_portals_and_runs_are_listed_with_nothing_but_the_database(
    alice: Person, charlie: Person, environment: dict[str, str]
):
    alice.unpublish(351, 352)
    only = {"DATABASE_URL": environment["DATABASE_URL"]}

    portals = b24(only, "portals")
    runs = b24(only, "runs", "--portal", alice.portal.domain)
    listed = json.loads(b24(only, "portals", "--json").stdout)
    waiting = json.loads(b24(only, "runs", "--state", "waiting", "--json").stdout)

    assert portals.returncode == runs.returncode == 0, portals.stderr + runs.stderr
    assert alice.portal.domain in portals.stdout
    assert charlie.portal.member_id in portals.stdout
    assert [line["people"] for line in listed if line["member_id"] == alice.portal.member_id] == [2]
    assert len(runs.stdout.splitlines()) == 2
    assert "queued" in runs.stdout
    assert waiting == []


def test_stopped_portals_are_listed_with_the_cause_and_when_they_are_asked(
    alice: Person, charlie: Person, environment: dict[str, str], services: Services, clock: TurnableClock
):
    with services.store.begin() as db:
        portal = db.get_one(Portal, charlie.portal.member_id)
        portal.suspended_code, portal.suspended_at, portal.ask_again_at = "OVERLOAD_LIMIT", clock(), clock()

    shell = CliRunner(env=environment)
    listed = json.loads(shell.invoke(commands, ["portals", "--stopped", "--json"]).output)

    assert [(line["domain"], line["state"]) for line in listed] == [(charlie.portal.domain, "OVERLOAD_LIMIT")]
    assert listed[0]["ask_again_at"]
    assert alice.portal.domain not in shell.invoke(commands, ["portals", "--stopped"]).output
    assert alice.portal.domain in shell.invoke(commands, ["portals"]).output


def test_events_that_are_not_worked_off_are_listed_without_what_they_carry(
    alice: Person, app: Flask, environment: dict[str, str], services: Services, clock: TurnableClock
):
    form = removal(alice, clock, clean=True)
    alice.portal.state.installation = None
    shell = CliRunner(env=environment)
    nothing = json.loads(shell.invoke(commands, ["events", "--json"]).output)

    assert send(app, form) == 200

    waiting = json.loads(shell.invoke(commands, ["events", "--json"]).output)
    shown = shell.invoke(commands, ["events"]).output
    work_until_idle(services)
    done = json.loads(shell.invoke(commands, ["events", "--json"]).output)
    assert (nothing, done) == ([], [])
    assert [(line["domain"], line["event"], line["attempts"]) for line in waiting] == [
        (alice.portal.domain, "ONAPPUNINSTALL", 0)
    ]
    assert len(shown.splitlines()) == 2
    assert form["auth[application_token]"] not in shown


@pytest.mark.process
def test_the_doctor_tells_what_lies_undone_and_finds_nothing_wrong_with_it(
    alice: Person, app: Flask, environment: dict[str, str], services: Services, clock: TurnableClock
):
    long_ago = services.clock() - timedelta(hours=3)
    form = removal(alice, clock, clean=False)
    alice.unpublish(351, 352)
    assert send(app, form) == 200
    with services.store.begin() as db:
        db.add(WorkerSeen(name="one-1", at=services.clock()))
        db.add(WorkerSeen(name="two-1", at=long_ago))
        db.execute(update(Portal).values(suspended_code="OVERLOAD_LIMIT", suspended_at=long_ago))
        db.execute(update(Run).values(state=RunState.QUEUED, at=long_ago))
        db.execute(update(InboxEvent).values(received_at=long_ago))

    told = b24(environment, "doctor")

    assert "WRONG" not in told.stdout
    assert told.returncode == 0
    assert "one-1 seen" in line_of(told, "worker")
    assert "silent: two-1 last seen" in line_of(told, "worker")
    assert "1 × OVERLOAD_LIMIT; see `flask b24 portals --stopped`" in line_of(told, "portals")
    assert "1 are late" in line_of(told, "runs")
    assert "flask b24 events" in line_of(told, "events")
    assert "lock_timeout = 15s" in line_of(told, "limits")


def test_an_unknown_portal_is_one_line(environment: dict[str, str]):
    for words in (("runs", "--portal", "nobody"), ("purge", "portal", "nobody"), ("sessions", "end", "--portal", "no")):
        done = CliRunner(env=environment).invoke(commands, words)
        assert (done.exit_code, len(done.output.splitlines())) == (1, 1), done.output
        assert "no portal is called" in done.output


@pytest.mark.process
def test_purging_a_portal_asks_first_and_then_leaves_nothing_of_it(
    alice: Person, charlie: Person, environment: dict[str, str], services: Services, clock: TurnableClock
):
    alice.unpublish(351, 352)
    charlie.unpublish(351)

    refused = b24(environment, "purge", "portal", alice.portal.domain, answer="n\n")
    assert refused.returncode == 1
    assert alice.get("/runs").status_code == 200

    done = b24(environment, "purge", "portal", alice.portal.domain, answer="y\n")

    assert done.returncode == 0, done.stderr
    assert "2 people, 1 runs" in done.stdout
    assert "portal_erased" in done.stderr
    assert "portal_erased" not in done.stdout
    assert alice.get("/runs").status_code == 401
    assert charlie.get("/runs").status_code == 200
    with services.store.begin() as db:
        for table in (Portal, User, UserToken, Run, ApiCall):
            left = db.scalars(select(table.member_id).distinct()).all()
            assert left == [charlie.portal.member_id], table
    assert alice.portal.member_id not in dump(environment)


def dump(environment: dict[str, str]) -> str:
    """Every row of every table as text."""
    services = build(make_config(environment))
    query = (
        "select table_name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'"
    )
    with services.store.begin() as db:
        raw = db.connection().connection.driver_connection
        assert raw is not None
        names = [name for (name,) in raw.execute(query).fetchall()]
        rows = [str(row) for name in names for row in raw.execute(f'select t::text from "{name}" t').fetchall()]
    services.close()
    return "\n".join(rows)


@pytest.mark.process
def test_purging_the_log_keeps_the_days_of_the_environment(
    ada: Person, environment: dict[str, str], services: Services
):
    with services.store.begin() as db:
        db.execute(update(ApiCall).values(at=services.clock() - timedelta(days=20)))

    kept = b24({"DATABASE_URL": environment["DATABASE_URL"], "API_LOG_DAYS": "30"}, "purge", "log")
    wrong = b24({"DATABASE_URL": environment["DATABASE_URL"], "API_LOG_DAYS": "1000"}, "purge", "log")
    done = b24({"DATABASE_URL": environment["DATABASE_URL"]}, "purge", "log")

    assert kept.stdout == "0 entries are deleted.\n", kept.stderr
    assert (wrong.returncode, wrong.stderr.startswith("API_LOG_DAYS: "), wrong.stderr.count("\n")) == (1, True, 1)
    assert done.stdout != "0 entries are deleted.\n"
    assert done.returncode == 0


@pytest.mark.process
def test_keys_are_rotated_without_anything_but_keys_and_database(ada: Person, rotated: dict[str, str]):
    done = b24({name: rotated[name] for name in ("DATABASE_URL", "TOKEN_KEYS")}, "rotate-keys")

    assert done.returncode == 0, done.stderr
    assert "All tokens are sealed with the newest key" in done.stdout


@pytest.mark.process
def test_purging_the_log_keeps_the_days_that_were_asked_for(
    ada: Person, environment: dict[str, str], services: Services
):
    with services.store.begin() as db:
        first = db.scalars(select(ApiCall).order_by(ApiCall.id)).first()
        assert first is not None
        db.add(ApiCall(
            member_id=first.member_id, user_id=1, method="old", params="", seconds=0.1, answer="",
            at=services.clock() - timedelta(days=4),
        ))  # fmt: skip

    kept = b24(environment, "purge", "log")
    done = b24(environment, "purge", "log", "--days", "3")

    assert (kept.stdout, done.stdout) == ("0 entries are deleted.\n", "1 entries are deleted.\n")
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).where(ApiCall.method == "old")) == 0
        assert db.scalar(select(func.count()).select_from(ApiCall))


@pytest.mark.process
@pytest.mark.parametrize(("words", "ended"), [
    (("--user", "7"), ["alice"]), ((), ["alice", "bob"]), (("--all",), ["alice", "bob", "charlie"]),
])  # fmt: skip
def test_sessions_end_for_a_person_a_portal_or_everybody(
    alice: Person, bob: Person, charlie: Person, environment: dict[str, str], words: tuple[str, ...], ended: list[str]
):
    whom = words if "--all" in words else ("--portal", alice.portal.member_id, *words)

    done = b24(environment, "sessions", "end", *whom)

    assert done.returncode == 0, done.stderr
    people = {"alice": alice, "bob": bob, "charlie": charlie}
    assert [name for name, person in people.items() if person.get("/runs").status_code == 401] == ended
    assert alice.opened().get("/runs").status_code == 200


# --- rotation ----------------------------------------------------------------------------------------------------


def seed(services: Services, member_id: str, number: int) -> list[UserRef]:
    """People with tokens, more than one batch of them."""
    people = [UserRef(member_id, 100_000 + each) for each in range(number)]
    with services.store.begin() as db:
        db.add_all(User(member_id=user.member_id, user_id=user.user_id, name="") for user in people)
        db.flush()
        db.add_all(
            UserToken(
                member_id=user.member_id, user_id=user.user_id, access_sha256=fingerprint(f"a{user.user_id}"),
                access=services.vault.seal(f"a{user.user_id}", place(user, "access")),
                refresh=services.vault.seal(f"r{user.user_id}", place(user, "refresh")),
                expires_at=services.clock(), obtained_at=services.clock(),
            )
            for user in people
        )  # fmt: skip
    return people


@pytest.fixture
def rotated(environment: dict[str, str]) -> dict[str, str]:
    """The environment with a new key in front of the old one."""
    return environment | {"TOKEN_KEYS": f"{NEW_KEY},{environment['TOKEN_KEYS']}"}


@pytest.fixture
def newest_only(environment: dict[str, str]) -> Iterator[Services]:
    built = build(make_config(environment | {"TOKEN_KEYS": NEW_KEY}))
    yield built
    built.close()


def opened(services: Services, people: list[UserRef]) -> list[str]:
    """Their refresh tokens, as far as the keys open them."""
    with services.store.begin() as db:
        rows = [db.get_one(UserToken, (user.member_id, user.user_id)) for user in people]
    return [services.vault.open(row.refresh, place(user, "refresh")) for row, user in zip(rows, people, strict=True)]


@pytest.mark.process
def test_a_rotation_stopped_in_the_middle_goes_on_with_the_next_start(
    ada: Person, services: Services, rotated: dict[str, str], newest_only: Services
):
    people = seed(services, ada.portal.member_id, 4000)

    with Process(rotated, "-m", "flask", "--app", "app", "b24", "rotate-keys") as first:
        first.wait_for(" to go")
        first.send(signal.SIGKILL)
    told = b24(rotated, "rotate-keys")

    lines = told.stdout.splitlines()
    assert told.returncode == 0, told.stderr
    assert int(lines[0].split(", ")[1].split()[0]) < 3900, "the second start did not begin anew"
    assert lines[-1].startswith("All tokens are sealed with the newest key")
    assert opened(newest_only, people) == [f"r{user.user_id}" for user in people]
    assert b24(rotated, "rotate-keys").stdout.splitlines()[0] == "0 sealed anew, 0 to go"


@pytest.mark.process
def test_a_rotation_under_renewals_loses_no_pair_and_makes_nobody_wait(
    alice: Person, standin: StandIn, services: Services, rotated: dict[str, str], newest_only: Services
):
    seed(services, alice.portal.member_id, 1500)
    people = [UserRef(alice.portal.member_id, each) for each in alice.portal.add_users(8)]
    with services.store.begin() as db:
        db.add_all(User(member_id=user.member_id, user_id=user.user_id, name="") for user in people)
        db.flush()
        for user in people:
            pair = alice.portal.tokens(user.user_id)
            past = services.clock() + timedelta(hours=1)
            services.tokens.remember(db, user, str(pair["access_token"]), str(pair["refresh_token"]), past)
    deployed = build(make_config(rotated))
    over = threading.Event()

    def renew_all_the_time(user: UserRef) -> int:
        times = 0
        while not over.is_set():
            alice.portal.expire(user.user_id)
            assert deployed.tokens.call(user, "profile").result
            times += 1
        return times

    with ThreadPoolExecutor(8) as crew:
        working = [crew.submit(renew_all_the_time, user) for user in people]
        told = b24(rotated, "rotate-keys")
        over.set()
        times = [each.result() for each in working]

    assert told.returncode == 0, told.stdout + told.stderr
    assert min(times) > 0
    assert len(opened(newest_only, people)) == 8
    assert newest_only.tokens.call(people[0], "profile").result
    deployed.close()


@pytest.mark.process
def test_a_row_that_is_locked_is_met_again(
    alice: Person, services: Services, rotated: dict[str, str], newest_only: Services
):
    with ExitStack() as running:
        with services.store.begin() as db:
            db.execute(text("set local idle_in_transaction_session_timeout = 0"))  # however long the start takes
            db.get_one(UserToken, (alice.portal.member_id, alice.user_id), with_for_update=True)
            rotation = Process(rotated, "-m", "flask", "--app", "app", "b24", "rotate-keys")
            running.enter_context(rotation).wait_for("1 sealed anew, 1 to go")
        assert rotation.wait(30) == 0

    assert opened(newest_only, [UserRef(alice.portal.member_id, alice.user_id)])


@pytest.mark.process
def test_what_no_key_opens_is_told_and_left_alone(
    alice: Person, services: Services, environment: dict[str, str], rotated: dict[str, str]
):
    seed(services, alice.portal.member_id, 3)
    with services.store.begin() as db:
        mine = (UserToken.member_id == alice.portal.member_id, UserToken.user_id == alice.user_id)
        before = db.scalars(select(UserToken.refresh).where(UserToken.user_id == 100_000)).one()
        db.execute(update(UserToken).where(*mine).values(refresh=before))

    told = b24(rotated, "rotate-keys")

    assert told.returncode == 1
    assert "TOKEN_KEYS: 1 tokens cannot be opened" in told.stderr
    with services.store.begin() as db:
        assert db.scalars(select(UserToken.refresh).where(*mine)).one() == before
