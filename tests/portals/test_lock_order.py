"""Portal, runs (a first before its return), people, tokens, queue: one order for everybody, so nobody deadlocks.

Each pair that did once is hammered from two threads, with every statement slowed down a little so that they meet. The
database counts its deadlocks; a repeat that hides one from us does not hide it from the count.
"""

import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import event, select, update
from sqlalchemy.exc import DBAPIError

from b24app.bitrix.oauth import AppInfo
from b24app.bitrix.rest import Answer
from b24app.domain import Action, Actor, ItemState, Kind, RunState, UserRef
from b24app.errors import NotFound, NotPossibleNow, SessionExpired
from b24app.portals.installs import Grant, Overtaken, Standing
from b24app.portals.verification import Verification
from b24app.runs.batches import Batch
from b24app.runs.executor import NextBatch
from b24app.runs.outcomes import Result
from b24app.runs.states import pair
from b24app.services import Services
from b24app.store.db import repeated
from b24app.store.models import Portal, Run, RunItem, User
from tests.processes import wait_until

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 25
SLOWEST_SECONDS = 0.004
MEMBER = "a" * 32
EXPECTED = (
    SessionExpired,
    NotPossibleNow,
    NotFound,
    Overtaken,
)  # what the other one's work may rightly mean for this one
OURS = (
    "select count(*) from pg_stat_activity"
    " where datname = current_database() and application_name <> '' and pid <> pg_backend_pid()"
)
Work = Callable[[], object]


@pytest.fixture
def slow(services: Services) -> Iterator[None]:
    """Every statement takes a little longer, each time another while."""

    def linger(*_: object) -> None:
        time.sleep(random.random() * SLOWEST_SECONDS)  # noqa: S311  nothing secret

    event.listen(services.store.engine, "before_cursor_execute", linger)
    yield
    event.remove(services.store.engine, "before_cursor_execute", linger)


@pytest.fixture
def portal(services: Services, slow: None) -> str:
    """A portal with one person, made without asking anybody."""
    add_portal(services, MEMBER)
    return MEMBER


def add_portal(services: Services, member_id: str) -> None:
    with services.store.begin() as db:
        db.add(
            Portal(
                member_id=member_id, domain="a.example", client_endpoint="http://a.example/rest/", oauth_server="http://o",
                scope="landing", status="F", app_version=1, epoch=1, installed_at=services.clock() - timedelta(days=1),
            )
        )  # fmt: skip
        db.flush()
        db.add(User(member_id=member_id, user_id=7, name="Alice", is_admin=True))


def add_run(services: Services, member_id: str, state: RunState, **more: Any) -> UUID:
    now = services.clock()
    run = Run(
        id=uuid4(), member_id=member_id, action=Action.UNPUBLISH, kind=Kind.PAGE, state=state, created_by=7,
        created_name="Alice", acting_as=7, acting_name="Alice", created_at=now, step=0, tries=0, **more,
    )  # fmt: skip
    with services.store.begin() as db:
        db.add(run)
        db.flush()
        done = ItemState.SUCCEEDED if state.is_final else ItemState.PENDING
        db.add_all(RunItem(run_id=run.id, position=at, lid=at + 1, title="", site="", state=done) for at in range(2))
    return run.id


def actor(member_id: str) -> Actor:
    return Actor(member_id, 7, "Alice", "en", "light", None, "a.example", 0)


def reopened(services: Services, member_id: str) -> None:
    with services.store.begin() as db:
        db.execute(update(Portal).where(Portal.member_id == member_id).values(uninstalled_at=None))


def deadlocks(services: Services) -> int:
    """As the database counts them, once the connections that met one are gone: each tells of its own at its end."""
    services.close()
    with psycopg.connect(services.store.url, autocommit=True) as own:
        wait_until(lambda: own.execute(OURS).fetchone() == (0,))
        row = own.execute("select deadlocks from pg_stat_database where datname = current_database()").fetchone()
    return int(row[0]) if row else -1


def hammer(services: Services, *works: Work, rounds: int = ROUNDS) -> None:
    """Do the works again and again, each in a thread of its own; nothing may fail and nothing may deadlock."""

    def again(work: Work) -> list[str]:
        failures = []
        for _ in range(rounds):
            try:
                work()
            except EXPECTED:
                continue
            except DBAPIError as error:
                failures.append(repr(error.orig))
        return failures

    before = deadlocks(services)
    with ThreadPoolExecutor(len(works)) as threads:
        failed = [failure for failures in threads.map(again, works) for failure in failures]
    assert failed == []
    assert deadlocks(services) == before


def removal_of(services: Services, member_id: str) -> Work:
    def remove() -> None:
        services.removal._close_if_open(member_id, False, None)
        reopened(services, member_id)

    return remove


def test_undo_of_an_ended_run_and_a_removal_do_not_deadlock(services: Services, portal: str):
    run = add_run(services, portal, RunState.SUCCEEDED)

    def undo() -> None:
        services.orders.undo(actor(portal), run, None)

    hammer(services, undo, undo, removal_of(services, portal))


def test_the_record_of_an_ended_run_and_a_removal_do_not_deadlock(services: Services, portal: str):
    run_id = add_run(services, portal, RunState.CANCELLED)

    def record() -> None:
        with services.store.begin() as db:
            run = db.get_one(Run, run_id)
        results = [
            Result(at, at + 1, ItemState.SUCCEEDED, after={"active": False, "modified_by": 7}) for at in range(2)
        ]
        services.executor._record(NextBatch(run), Batch(results))

    hammer(services, record, removal_of(services, portal))


def test_erasing_a_portal_and_the_record_of_a_batch_do_not_deadlock(services: Services, portal: str):
    members = iter([f"{number:032d}" for number in range(ROUNDS)])

    def meet() -> None:
        member_id = next(members)
        add_portal(services, member_id)
        run_id = add_run(services, member_id, RunState.RUNNING)
        with services.store.begin() as db:
            run = db.get_one(Run, run_id)
            services.removal.close(db, db.get_one(Portal, member_id), erase=True)
        results = [Result(at, at + 1, ItemState.SUCCEEDED, after={"active": False}) for at in range(2)]
        with ThreadPoolExecutor(2) as threads:
            both = [
                threads.submit(services.removal.forget, member_id),
                threads.submit(services.executor._record, NextBatch(run), Batch(results)),
            ]
            assert [each.result() for each in both] == [None, None]

    hammer(services, meet)
    with services.store.begin() as db:
        assert db.scalars(select(Portal.member_id)).all() == [MEMBER]


def test_the_look_ahead_and_a_pair_of_runs_do_not_deadlock(services: Services, portal: str):
    later = services.clock() + timedelta(days=9)
    backs = [add_run(services, portal, RunState.SCHEDULED, at=later) for _ in range(4)]
    firsts = [add_run(services, portal, RunState.SCHEDULED, at=later, returns_run=back) for back in backs]

    def hold_pairs() -> None:
        for back in backs:
            with services.store.begin() as db:
                halves = pair(db, back)
                halves.run.checked_at = halves.first.checked_at = services.clock()

    def check_upcoming() -> None:
        services.preflight._write(dict.fromkeys(random.sample([*backs, *firsts], 8)))

    hammer(services, hold_pairs, check_upcoming, check_upcoming)


def test_a_profile_being_noted_and_an_open_do_not_deadlock(services: Services, portal: str):
    info = AppInfo(
        "app", portal, 7, "a.example", "http://a.example/rest/", ("landing",), "F", True, 1,
        services.clock() + timedelta(hours=1),
    )  # fmt: skip
    proven = Verification("http://o", info)
    profile = {"profile": Answer({"NAME": "Alice", "LAST_NAME": "A"}), "admin": Answer(True)}
    grant = Grant("access-token", None, "portal-secret")

    def opened() -> None:
        services.installs._admit(Standing(), proven, grant)

    def noted() -> None:
        opening, _ = services.installs._admit(Standing(), proven, grant)
        services.installs._note(opening, profile, grant, installing=False)

    hammer(services, opened, noted, noted)


def test_opens_retries_and_a_removal_that_forgets_do_not_deadlock(services: Services, portal: str):
    run = add_run(services, portal, RunState.PARTIAL)
    with services.store.begin() as db:
        db.execute(update(RunItem).values(state=ItemState.FAILED))
    info = AppInfo(
        "app", portal, 7, "a.example", "http://a.example/rest/", ("landing",), "F", True, 1,
        services.clock() + timedelta(hours=1),
    )  # fmt: skip
    remove = removal_of(services, portal)

    def opened() -> None:
        opening, _ = services.installs._admit(
            Standing(), Verification("http://o", info), Grant("access", "r", "secret")
        )
        services.installs._keep_pair(opening, "access", "r", info)

    def retried() -> None:
        services.orders._write_again(actor(portal), run, ItemState.FAILED, None, undo=False)

    def removed() -> None:
        remove()
        services.removal.forget_people(portal)
        services.removal._forget_portion(portal, None)

    hammer(services, opened, retried, retried, removed, rounds=15)


def test_a_person_coming_back_and_a_removal_do_not_deadlock(services: Services, portal: str):
    for _ in range(3):
        add_run(services, portal, RunState.WAITING, waiting_since=services.clock())

    def back() -> None:
        services.waiting.resume_for(UserRef(portal, 7))
        with services.store.begin() as db:
            db.execute(update(Run).where(Run.state == RunState.QUEUED).values(state=RunState.WAITING))

    hammer(services, back, removal_of(services, portal), rounds=15)


def test_a_transaction_the_database_took_back_is_done_again(services: Services, portal: str):
    """A real deadlock, made on purpose: one of the two is chosen by the database, and does its work once more."""
    run_ids = [add_run(services, portal, RunState.SUCCEEDED) for _ in range(2)]
    tried: list[UUID] = []
    both_hold = Barrier(2)

    @repeated
    def both(first: UUID, second: UUID) -> None:
        tried.append(first)
        with services.store.begin() as db:
            db.get_one(Run, first, with_for_update={"key_share": True}).tries += 1
            db.flush()
            if tried.count(first) == 1:
                both_hold.wait(10)
            db.get_one(Run, second, with_for_update={"key_share": True}).tries += 1

    with ThreadPoolExecutor(2) as threads:
        sent = [threads.submit(both, *order) for order in (run_ids, run_ids[::-1])]
        assert [each.result() for each in sent] == [None, None]

    with services.store.begin() as db:
        assert db.scalars(select(Run.tries)).all() == [2, 2]
    assert len(tried) > 2


def test_a_row_held_for_good_is_an_error_in_the_end(services: Services, portal: str):
    calls = []

    @repeated
    def never() -> None:
        calls.append(1)
        raise DBAPIError("", None, psycopg.errors.UniqueViolation())

    with pytest.raises(DBAPIError):
        never()

    assert len(calls) == 1, "only what passes by itself is done again"


def test_nobody_locks_a_row_against_those_who_only_name_it() -> None:
    """FOR UPDATE stands in the way of every foreign key; FOR NO KEY UPDATE does not."""
    bare = re.compile(r"with_for_update=True|with_for_update\(\)|with_for_update\((?![^)]*key_share)(?![^)]*read)")
    found = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in (ROOT / "b24app").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if bare.search(line)
    }

    assert found == set()
