"""The clock turned through the calendar: both clock changes, a leap day, year ends, new rules for a zone, months."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import TZPATH, ZoneInfo, reset_tzpath

import pytest

from b24app import zones
from b24app.services import Services
from b24app.store.models import Run
from tests.clocks import TurnableClock
from tests.conftest import Turn, Work
from tests.people import Person, body_of

PAGE = 351
ZONE = "Europe/Riga"
MACHINES = list(TZPATH)  # folders of the machine's zone files


def coming(clock: TurnableClock, month: int, day: int) -> int:
    """The year in which this day is next to come, at least two days from now."""
    now = clock() + timedelta(days=2)
    return now.year + ((month, day) < (now.month, now.day))


def last_sunday(year: int, month: int) -> datetime:
    """When the clocks of Europe change."""
    day = datetime(year, month, 31, tzinfo=UTC)
    return day - timedelta(days=(day.weekday() + 1) % 7)


def down_exactly_at(alice: Person, turn: Turn, work: Work, instant: datetime) -> None:
    """The page is up a minute before the instant, at which the person looks in, and down a second after it."""
    turn(until=instant - timedelta(minutes=1))
    alice.opened()
    work()
    assert alice.portal.page(PAGE).active
    turn(until=instant + timedelta(seconds=1))
    work()
    assert not alice.portal.page(PAGE).active


@pytest.mark.parametrize(("month", "wall", "utc"), [
    (3, "02:59", (0, 59)),  # the last minute of winter time
    (3, "04:00", (1, 0)),  # the first of summer time: one minute later
    (10, "03:30", (0, 30)),  # shown twice: the first, still in summer time
    (10, "04:00", (2, 0)),  # the first that is winter time only
])  # fmt: skip
def test_a_wall_time_around_a_clock_change_means_that_wall_clock(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, month: int, wall: str, utc: tuple[int, int]
):
    change = last_sunday(coming(clock, month, 24), month)

    run = body_of(alice.unpublish(PAGE, at=f"{change:%Y-%m-%d}T{wall}", zone=ZONE))

    instant = change.replace(hour=utc[0], minute=utc[1])
    assert datetime.fromisoformat(run["at"]) == instant
    down_exactly_at(alice, turn, work, instant)


def test_a_window_across_a_clock_change_lasts_from_wall_time_to_wall_time(alice: Person, clock: TurnableClock):
    change = last_sunday(coming(clock, 3, 24), 3)
    before, after = f"{change - timedelta(days=1):%Y-%m-%d}T18:00", f"{change:%Y-%m-%d}T18:00"

    run = body_of(alice.unpublish(PAGE, at=before, until=after, zone=ZONE))

    length = datetime.fromisoformat(run["until"]) - datetime.fromisoformat(run["at"])
    assert length == timedelta(hours=23)


def test_a_leap_day_comes_only_where_there_is_one(alice: Person, clock: TurnableClock, turn: Turn, work: Work):
    leap = next(year for year in range(clock().year + 1, clock().year + 9) if year % 4 == 0)

    run = body_of(alice.unpublish(PAGE, at=f"{leap}-02-29T12:00", zone=ZONE))
    other = alice.unpublish(PAGE, at=f"{leap + 1}-02-29T12:00", zone=ZONE)

    assert run["at"] == f"{leap}-02-29T10:00:00Z"
    assert other.status_code == 422
    down_exactly_at(alice, turn, work, datetime(leap, 2, 29, 10, tzinfo=UTC))


def test_the_last_minute_of_a_year_is_that_of_the_zone(alice: Person, clock: TurnableClock, turn: Turn, work: Work):
    year = coming(clock, 12, 31)

    run = body_of(alice.unpublish(PAGE, at=f"{year}-12-31T23:59", zone="Pacific/Auckland"))

    assert run["at"] == f"{year}-12-31T10:59:00Z"
    down_exactly_at(alice, turn, work, datetime(year, 12, 31, 10, 59, tzinfo=UTC))


@pytest.fixture
def rules(tmp_path: Path):
    """Zone files of the test's own, over those of the machine: `rules("Europe/Riga", "Etc/GMT-5")`."""

    def change(zone: str, like: str) -> None:
        file = tmp_path / zone
        file.parent.mkdir(parents=True, exist_ok=True)
        found = next(Path(folder) / like for folder in MACHINES if (Path(folder) / like).is_file())
        file.write_bytes(found.read_bytes())
        reset_tzpath([str(tmp_path), *MACHINES])
        ZoneInfo.clear_cache()

    yield change
    reset_tzpath(MACHINES)
    ZoneInfo.clear_cache()
    zones.names.cache_clear()


needs_files = pytest.mark.skipif(
    not any((Path(folder) / "Etc/GMT-5").is_file() for folder in MACHINES), reason="this machine has no zone files"
)


@needs_files
def test_new_rules_of_a_zone_move_only_what_was_set_by_its_wall_clock(
    alice: Person, services: Services, clock: TurnableClock, turn: Turn, work: Work, rules
):
    day = f"{clock() + timedelta(days=60):%Y-%m-%d}"
    local = body_of(alice.unpublish(PAGE, at=f"{day}T12:00", until=f"{day}T18:00", zone=ZONE))
    fixed = body_of(alice.unpublish(352, at=f"{day}T12:00+02:00", zone=ZONE))
    elsewhere = body_of(alice.unpublish(353, at=f"{day}T12:00", zone="Europe/Berlin"))

    rules(ZONE, "Etc/GMT-5")  # five hours ahead of UTC

    assert services.schedule.follow_zones() == 2
    assert services.schedule.follow_zones() == 0
    moved = body_of(alice.get(f"/runs/{local['id']}"))
    assert (moved["at"], moved["until"]) == (f"{day}T07:00:00Z", f"{day}T13:00:00Z")
    assert body_of(alice.get(f"/runs/{local['returns_run']}"))["at"] == moved["until"]
    assert body_of(alice.get(f"/runs/{fixed['id']}"))["at"] == fixed["at"]
    assert body_of(alice.get(f"/runs/{elsewhere['id']}"))["at"] == elsewhere["at"]
    down_exactly_at(alice, turn, work, datetime.fromisoformat(moved["at"]))


@needs_files
def test_a_worker_that_starts_moves_them_before_it_does_anything_else(
    alice: Person, services: Services, clock: TurnableClock, work: Work, rules
):
    day = f"{clock() + timedelta(days=60):%Y-%m-%d}"
    run = body_of(alice.unpublish(PAGE, at=f"{day}T12:00", zone=ZONE))
    rules(ZONE, "Etc/GMT-5")

    work()

    assert body_of(alice.get(f"/runs/{run['id']}"))["at"] == f"{day}T07:00:00Z"


@needs_files
def test_a_wall_time_that_new_rules_skip_happens_right_behind_the_gap(
    alice: Person, services: Services, clock: TurnableClock, rules
):
    change = last_sunday(coming(clock, 3, 24), 3)
    run = body_of(alice.unpublish(PAGE, at=f"{change:%Y-%m-%d}T03:30", zone="Africa/Lagos"))
    assert run["at"] == f"{change:%Y-%m-%d}T02:30:00Z"

    rules("Africa/Lagos", ZONE)
    services.schedule.follow_zones()

    assert body_of(alice.get(f"/runs/{run['id']}"))["at"] == f"{change:%Y-%m-%d}T01:30:00Z"


def test_five_years_are_reached_and_not_passed(alice: Person, clock: TurnableClock):
    now = clock()
    edge = now.replace(year=now.year + 5, day=min(now.day, 28))

    within = alice.unpublish(PAGE, at=(edge - timedelta(minutes=1)).isoformat(timespec="seconds"))
    beyond = alice.unpublish(PAGE, at=(edge + timedelta(days=4)).isoformat(timespec="seconds"))

    assert (within.status_code, beyond.status_code) == (201, 422)


def test_after_eleven_months_with_living_tokens_the_run_still_goes(
    alice: Person, services: Services, clock: TurnableClock, turn: Turn, work: Work
):
    instant = clock().replace(microsecond=0) + timedelta(days=330)
    run = body_of(alice.unpublish(PAGE, at=instant.isoformat(timespec="seconds")))

    while clock() < instant - timedelta(days=31):
        turn(days=30, hours=1)
        services.preflight.check_upcoming()  # it also keeps the asker's token from dying unused
        work()
    turn(until=instant + timedelta(seconds=1))
    work()

    assert alice.portal.page(PAGE).modified_by == alice.user_id
    with services.store.begin() as db:
        assert db.get_one(Run, UUID(run["id"])).state == "succeeded"


def test_after_months_without_an_open_a_run_waits_and_says_for_whom(
    ada: Person, alice: Person, clock: TurnableClock, turn: Turn, work: Work
):
    run = body_of(alice.unpublish(PAGE, at=(clock() + timedelta(days=200)).isoformat(timespec="seconds")))
    turn(days=200, seconds=1)
    work()

    seen = body_of(ada.opened().get(f"/runs/{run['id']}"))

    assert (seen["state"], seen["problem"]["who"]) == ("waiting", "you")
    assert "takeover" in seen["can"]
    assert alice.portal.page(PAGE).active
