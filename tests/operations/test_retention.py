"""What goes by age: runs, people, tokens, the log; and what stays because something still needs it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select, text, update

from b24app.cli import b24 as commands
from b24app.operations.retention import CALLS, Retention, months_before
from b24app.services import Services
from b24app.store.models import ApiCall, Portal, Run, RunItem, User, UserToken
from tests.clocks import TurnableClock
from tests.conftest import Turn
from tests.people import Person, body_of, run_id_of

MONTHS, DAYS = 24, 7
LONG = timedelta(days=31 * (MONTHS + 1))


@pytest.fixture
def retention(services: Services) -> Retention:
    return Retention(services.store, MONTHS, DAYS, services.clock)


def kept(services: Services, *runs: str) -> list[bool]:
    with services.store.begin() as db:
        return [db.get(Run, UUID(run)) is not None for run in runs]


def people(services: Services) -> set[int]:
    with services.store.begin() as db:
        return set(db.scalars(select(User.user_id)))


def test_ended_runs_go_with_their_pages_when_their_months_are_over(
    alice: Person, services: Services, retention: Retention, clock: TurnableClock
):
    old = run_id_of(alice.unpublish(351))
    clock.tick(days=60)
    young = run_id_of(alice.opened().unpublish(352))
    clock.tick(seconds=(LONG - timedelta(days=60)).total_seconds())

    assert retention.due().runs == retention.carry_out().runs == 1

    assert kept(services, old, young) == [False, True]
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).where(RunItem.run_id == UUID(old))) == 0


def test_a_run_stays_while_its_pages_have_yet_to_come_back(
    alice: Person, services: Services, retention: Retention, clock: TurnableClock, turn: Turn, work
):
    until = (clock() + timedelta(days=365 * 3)).isoformat(timespec="seconds")
    first = body_of(alice.unpublish(351, until=until))
    work()
    clock.tick(seconds=LONG.total_seconds())
    assert retention.carry_out().runs == 0

    turn(until=clock() + timedelta(days=365 * 3) - LONG)
    alice.opened()
    work()
    assert alice.portal.page(351).active
    assert retention.carry_out().runs == 0
    clock.tick(seconds=LONG.total_seconds())

    assert retention.carry_out().runs == 2
    assert kept(services, first["id"], first["returns_run"]) == [False, False]


def test_people_go_with_their_last_run_and_never_while_they_use_the_app(
    alice: Person, bob: Person, services: Services, retention: Retention, clock: TurnableClock
):
    alice.unpublish(351)
    clock.tick(seconds=LONG.total_seconds() - 30 * 24 * 3600)
    alice.opened().unpublish(352)
    clock.tick(days=31)
    retention.carry_out()
    assert people(services) == {alice.user_id}

    clock.tick(seconds=LONG.total_seconds())
    gone = retention.carry_out()

    assert (gone.runs, gone.people) == (1, 1)
    assert people(services) == set()
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).select_from(UserToken)) == 0
        assert db.scalar(select(func.count()).select_from(Portal)) == 1
    assert alice.opened().unpublish(353).status_code == 201


def test_who_cancelled_a_run_stays_as_long_as_it_does(
    alice: Person, ada: Person, bob: Person, services: Services, retention: Retention, clock: TurnableClock
):
    run = run_id_of(alice.unpublish(351, at=(clock() + timedelta(hours=1)).isoformat(timespec="seconds")))
    assert ada.opened().post(f"/runs/{run}/cancel").status_code == 200
    with services.store.begin() as db:
        db.execute(update(User).values(opened_at=clock() - LONG))

    retention.carry_out()

    assert people(services) == {alice.user_id, ada.user_id}


def test_a_token_goes_when_it_is_older_than_any_that_lives(
    alice: Person, services: Services, retention: Retention, clock: TurnableClock
):
    clock.tick(days=199)
    assert retention.carry_out().tokens == 0
    clock.tick(days=2)

    assert retention.carry_out().tokens == 2
    assert alice.user_id in people(services)
    assert alice.opened().unpublish(351).status_code == 201


def test_what_somebody_holds_is_passed_over_and_goes_the_next_time(
    alice: Person, services: Services, retention: Retention, clock: TurnableClock
):
    held, free = (run_id_of(alice.unpublish(lid)) for lid in (351, 352))
    clock.tick(seconds=LONG.total_seconds())
    with services.store.begin() as db:
        db.execute(select(Run).where(Run.id == UUID(held)).with_for_update(key_share=True))

        assert retention.carry_out().runs == 1
        assert kept(services, held, free) == [True, False]

    assert retention.carry_out().runs == 1


def test_the_log_goes_in_portions_until_it_is_as_short_as_it_may_be(
    alice: Person, services: Services, retention: Retention
):
    with services.store.begin() as db:
        db.execute(text("delete from api_calls"))
        db.execute(
            text(
                "insert into api_calls (at, member_id, user_id, method, params, seconds, answer)"
                " select now() - n * interval '5 minutes', :portal, :user, 'profile', '', 0, ''"
                " from generate_series(1, :many) n"
            ),
            {"portal": alice.portal.member_id, "user": alice.user_id, "many": 2 * CALLS + 500 + 7 * 288},
        )

    assert retention.carry_out(seconds=0).calls == CALLS
    assert abs(retention.due().calls - CALLS - 500) <= 1
    retention.carry_out()

    with services.store.begin() as db:
        assert abs((db.scalar(select(func.count()).select_from(ApiCall)) or 0) - 7 * 288) <= 1


def test_the_command_tells_what_can_go_and_lets_it_go_when_told(
    alice: Person, services: Services, environment: dict[str, str]
):
    old = run_id_of(alice.unpublish(351))
    with services.store.begin() as db:
        db.execute(update(Run).values(finished_at=datetime(2020, 1, 1, tzinfo=UTC)))
    surroundings = {"DATABASE_URL": environment["DATABASE_URL"], "HISTORY_MONTHS": "12"}

    shown = CliRunner().invoke(commands, ["retention"], env=surroundings)
    assert shown.exit_code == 0, shown.output
    assert "1 runs, 0 people" in shown.output
    assert kept(services, old) == [True]

    done = CliRunner().invoke(commands, ["retention", "--now"], env=surroundings)
    assert done.exit_code == 0, done.output
    assert "are deleted" in done.output
    assert kept(services, old) == [False]


@pytest.mark.parametrize(("day", "months", "before"), [
    ("2026-11-29", 24, "2024-11-29"), ("2026-03-31", 1, "2026-02-28"), ("2028-02-29", 12, "2027-02-28"),
    ("2026-01-15", 3, "2025-10-15"), ("2026-12-31", 120, "2016-12-31"),
])  # fmt: skip
def test_months_are_those_of_the_calendar(day: str, months: int, before: str):
    assert months_before(datetime.fromisoformat(day), months) == datetime.fromisoformat(before)
