"""Orders for a time: the contract's sentences about time, one test each, with both clocks turned by the test."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from b24app.services import Services
from b24sandbox import StandIn
from tests.clocks import FORWARD, YEAR, TurnableClock
from tests.conftest import Turn
from tests.people import Person, body_of
from tests.worker import pump

PAGE, OTHER = 351, 352


def seen(person: Person, run: dict) -> dict:
    """The run as it stands, as this person reads it after opening the app anew."""
    person.opened()
    return body_of(person.get(f"/runs/{run['id']}"))


def inside(clock: TurnableClock, **span: float) -> str:
    """A moment from now, with an offset."""
    return (clock() + timedelta(**span)).isoformat(timespec="seconds")


def test_a_page_goes_down_at_its_time_and_not_before(alice: Person, clock: TurnableClock, turn: Turn, work):
    run = body_of(alice.unpublish(PAGE, at=inside(clock, hours=2)))
    assert run["state"] == "scheduled"

    turn(hours=1, minutes=58)
    work()
    assert alice.portal.page(PAGE).active

    turn(minutes=2, seconds=1)
    work()

    assert seen(alice, run)["state"] == "succeeded"
    assert not alice.portal.page(PAGE).active


def test_unpublish_until_links_a_run_that_brings_back_what_it_changed(
    alice: Person, clock: TurnableClock, turn: Turn, work
):
    alice.portal.change_page(OTHER, active=False, public=False)
    first = body_of(alice.unpublish(PAGE, OTHER, at=inside(clock, hours=2), until=inside(clock, hours=5)))
    back = seen(alice, {"id": first["returns_run"]})
    assert (back["action"], back["state"], back["undoes"]) == ("publish", "scheduled", first["id"])
    assert back["at"] == first["until"]

    turn(hours=2, seconds=1)
    work()
    assert not alice.portal.page(PAGE).active
    turn(hours=3)
    work()

    back = seen(alice, back)
    assert back["state"] == "succeeded"
    assert [item["state"] for item in back["items"]] == ["succeeded", "skipped"]
    assert alice.portal.page(PAGE).active
    assert not alice.portal.page(OTHER).active


def test_one_page_down_now_and_back_later_is_done_when_the_answer_arrives(
    alice: Person, clock: TurnableClock, turn: Turn, work
):
    first = body_of(alice.unpublish(PAGE, until=inside(clock, hours=5)))
    assert first["state"] == "succeeded"
    assert not alice.portal.page(PAGE).active

    turn(hours=5, seconds=1)
    work()

    assert seen(alice, {"id": first["returns_run"]})["state"] == "succeeded"
    assert alice.portal.page(PAGE).active


def test_of_a_refused_order_neither_run_is_kept(alice: Person, clock: TurnableClock, standin: StandIn):
    standin.fault(0, method="batch", kind="error", code="insufficient_scope", status=401, times=1)

    answer = alice.unpublish(PAGE, until=inside(clock, hours=5))

    assert answer.status_code == 403
    assert body_of(alice.get("/runs"))["runs"] == []


def test_the_return_is_cancelled_alone_and_the_page_stays_down(alice: Person, clock: TurnableClock, turn: Turn, work):
    first = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=2)))

    assert alice.post(f"/runs/{first['returns_run']}/cancel").status_code == 200

    assert body_of(alice.get(f"/runs/{first['id']}"))["until"] is None
    turn(hours=1, seconds=1)
    work()
    turn(hours=1)
    work()
    assert seen(alice, first)["state"] == "succeeded"
    assert not alice.portal.page(PAGE).active


def test_cancelling_the_first_says_that_there_is_nothing_to_bring_back(
    alice: Person, clock: TurnableClock, turn: Turn, work
):
    first = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=2)))

    assert body_of(alice.post(f"/runs/{first['id']}/cancel"))["state"] == "cancelled"

    back = body_of(alice.get(f"/runs/{first['returns_run']}"))
    assert back["state"] == "cancelled"
    assert back["problem"]["code"] == "nothing_to_bring_back"
    assert back["problem"]["detail"]
    turn(hours=3)
    work()
    assert alice.portal.page(PAGE).active


def test_moving_either_end_keeps_the_order_of_the_two(alice: Person, clock: TurnableClock):
    first = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=3)))
    back = f"/runs/{first['returns_run']}/move"

    too_late = alice.post(f"/runs/{first['id']}/move", {"at": inside(clock, hours=4)})
    too_early = alice.post(back, {"until": inside(clock, minutes=30)})
    later = alice.post(back, {"until": inside(clock, hours=6)})
    now_fits = alice.post(f"/runs/{first['id']}/move", {"at": inside(clock, hours=4)})

    assert (too_late.status_code, too_early.status_code) == (422, 422)
    assert (later.status_code, now_fits.status_code) == (200, 200)
    assert body_of(now_fits)["until"] == body_of(later)["at"]


def test_a_moved_run_happens_at_its_new_time_only(alice: Person, clock: TurnableClock, turn: Turn, work):
    run = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1)))
    assert alice.post(f"/runs/{run['id']}/move", {"at": inside(clock, hours=3)}).status_code == 200

    turn(hours=2)
    work()
    assert alice.portal.page(PAGE).active

    turn(hours=1, seconds=1)
    work()
    assert not alice.portal.page(PAGE).active


def test_a_run_that_has_begun_cannot_be_moved(alice: Person, clock: TurnableClock):
    run = body_of(alice.unpublish(PAGE))

    assert alice.post(f"/runs/{run['id']}/move", {"at": inside(clock, hours=3)}).status_code == 409


def test_a_late_publish_within_the_hour_still_happens(alice: Person, clock: TurnableClock, turn: Turn, work):
    alice.unpublish(PAGE)
    run = body_of(alice.publish(PAGE, at=inside(clock, hours=1)))

    turn(hours=1, minutes=59)
    work()

    assert seen(alice, run)["state"] == "succeeded"


def test_a_publish_over_an_hour_late_waits_even_if_its_asker_opens_the_app(
    alice: Person, clock: TurnableClock, turn: Turn, work
):
    alice.unpublish(PAGE)
    run = body_of(alice.publish(PAGE, at=inside(clock, hours=1)))
    turn(hours=2, minutes=1)
    work()

    waiting = seen(alice, run)
    work()

    assert waiting["state"] == "waiting"
    assert waiting["problem"]["code"] == "too_late"
    assert "takeover" in waiting["can"]
    assert not alice.portal.page(PAGE).active
    assert alice.post(f"/runs/{run['id']}/takeover").status_code == 200
    work()
    assert alice.portal.page(PAGE).active


def test_when_both_times_are_past_nothing_is_done_and_both_runs_say_so(
    alice: Person, clock: TurnableClock, turn: Turn, work
):
    first = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=2)))

    turn(hours=2, seconds=1)
    work()

    for run in (first, {"id": first["returns_run"]}):
        ended = seen(alice, run)
        assert ended["state"] == "cancelled"
        assert ended["problem"]["code"] == "both_times_past"
    assert alice.portal.asked("landing.landing.unpublic") == 0


def test_the_end_of_the_period_stops_a_first_run_that_waits(
    alice: Person, ada: Person, clock: TurnableClock, turn: Turn, work
):
    first = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=5)))
    alice.portal.expire_refresh(alice.user_id)
    turn(hours=1, seconds=1)
    work()
    assert seen(ada, first)["state"] == "waiting"

    turn(hours=4)
    work()

    assert seen(ada, first)["problem"]["code"] == "both_times_past"
    assert seen(ada, {"id": first["returns_run"]})["problem"]["code"] == "nothing_to_bring_back"
    alice.opened()
    work()
    assert alice.portal.page(PAGE).active


def test_a_waiting_run_goes_on_when_the_asker_opens_the_app(
    alice: Person, ada: Person, clock: TurnableClock, turn: Turn, work
):
    run = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1)))
    alice.portal.expire_refresh(alice.user_id)
    turn(hours=1, seconds=1)
    work()
    assert seen(ada, run)["state"] == "waiting"
    assert alice.portal.page(PAGE).active

    alice.opened()
    work()

    assert seen(alice, run)["state"] == "succeeded"


def test_nobody_helps_for_two_weeks_and_the_run_fails_in_words(
    alice: Person, ada: Person, services: Services, clock: TurnableClock, turn: Turn, work
):
    run = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1)))
    alice.portal.expire_refresh(alice.user_id)
    turn(hours=1, seconds=1)
    work()

    turn(days=13, hours=23)
    assert services.schedule.give_up() == 0
    turn(hours=2)
    assert services.schedule.give_up() == 1

    ended = seen(ada, run)
    assert ended["state"] == "failed"
    assert ended["problem"]["code"] == "invalid_grant"
    assert ended["items"][0]["code"] == "waited_too_long"
    assert "14 days" in ended["items"][0]["detail"]
    assert "retry" in ended["can"]


def test_a_run_happens_once_at_its_time_though_the_clock_goes_back(
    alice: Person, services: Services, clock: TurnableClock, turn: Turn, work
):
    run = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1)))
    turn(hours=1, seconds=1)
    clock.tick(hours=-1)
    services.schedule.begin(UUID(run["id"]))
    assert alice.portal.page(PAGE).active

    clock.tick(hours=1)
    work()

    assert alice.portal.asked("landing.landing.unpublic") == 1
    assert not alice.portal.page(PAGE).active


def test_a_local_time_is_kept_in_the_zone_of_the_profile(alice: Person, clock: TurnableClock):
    day = (clock() + timedelta(days=200)).strftime("%Y-%m-%d")

    run = body_of(alice.unpublish(PAGE, at=f"{day}T12:00"))

    zone = alice.portal.user(alice.user_id).time_zone
    assert run["zone"] == zone
    assert datetime.fromisoformat(run["at"]).astimezone(UTC).hour in (9, 10, 11, 12)


def test_a_time_the_clock_skips_is_refused_with_a_suggestion(alice: Person):
    answer = alice.unpublish(PAGE, at=f"{FORWARD}T02:30", zone="Europe/Berlin")

    assert answer.status_code == 422
    assert body_of(answer)["code"] == "time_does_not_exist"
    assert body_of(answer)["suggestion"] == f"{FORWARD}T03:30"
    assert body_of(alice.get("/runs"))["runs"] == []


@pytest.mark.parametrize("zone", ["Mars/Olympus", "localtime"])
def test_an_unknown_zone_stops_only_what_needs_a_zone(alice: Person, clock: TurnableClock, zone: str):
    with_offset = alice.unpublish(PAGE, at=inside(clock, hours=1), zone=zone)
    local = alice.unpublish(PAGE, at=f"{YEAR}-03-01T10:45", zone=zone)

    assert (with_offset.status_code, local.status_code) == (201, 422)
    assert body_of(local)["code"] == "invalid"


def test_a_zone_no_column_takes_is_refused(alice: Person, clock: TurnableClock):
    assert alice.unpublish(PAGE, at=inside(clock, hours=1), zone="a\0b").status_code == 422


def test_a_due_run_whose_job_was_lost_with_its_worker_is_found(
    alice: Person, services: Services, clock: TurnableClock, turn: Turn, work
):
    run = body_of(alice.unpublish(PAGE, at=inside(clock, minutes=5)))
    other = body_of(alice.unpublish(OTHER, at=inside(clock, minutes=5)))
    with services.store.begin() as db:
        db.execute(text("delete from procrastinate_jobs where args->>'run' = :run"), {"run": run["id"]})
    turn(minutes=6)

    assert services.schedule.enqueue_near() == 1
    assert services.schedule.enqueue_near() == 0
    work()
    assert seen(alice, run)["state"] == seen(alice, other)["state"] == "succeeded"


def jobs_of(services: Services, run: dict[str, str]) -> int:
    with services.store.begin() as db:
        count = text("select count(*) from procrastinate_jobs where args->>'run' = :run")
        return int(db.scalar(count, {"run": run["id"]}) or 0)


def test_a_far_date_has_a_job_only_while_it_is_near(
    alice: Person, services: Services, clock: TurnableClock, turn: Turn, work
):
    run = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1)))
    assert (services.schedule.enqueue_near(), jobs_of(services, run)) == (0, 0)

    turn(minutes=46)
    assert (services.schedule.enqueue_near(), services.schedule.enqueue_near(), jobs_of(services, run)) == (1, 0, 1)

    alice.post(f"/runs/{run['id']}/move", {"at": inside(clock, hours=3)})
    assert (services.schedule.enqueue_near(), jobs_of(services, run)) == (0, 0)

    alice.post(f"/runs/{run['id']}/move", {"at": inside(clock, seconds=30)})
    assert (jobs_of(services, run), services.schedule.enqueue_near()) == (1, 0)
    turn(seconds=31)
    work()
    assert seen(alice, run)["state"] == "succeeded"


def test_overdue_runs_of_a_portal_go_in_the_order_of_their_times(alice: Person, clock: TurnableClock, turn: Turn, work):
    alice.unpublish(PAGE, at=inside(clock, minutes=50))
    earlier = body_of(alice.publish(PAGE, at=inside(clock, minutes=40)))
    turn(hours=1)

    work()

    assert seen(alice, earlier)["state"] == "succeeded"
    assert not alice.portal.page(PAGE).active


def test_a_late_return_knows_the_sites_of_its_pages_and_is_taken_over(
    alice: Person, ada: Person, clock: TurnableClock, turn: Turn, work
):
    first = body_of(alice.unpublish(PAGE, until=inside(clock, hours=1)))  # of a page no list was read for
    turn(hours=3)
    work()
    assert seen(ada, {"id": first["returns_run"]})["problem"]["code"] == "too_late"

    taken = ada.post(f"/runs/{first['returns_run']}/takeover")
    work()

    assert taken.status_code == 200
    assert alice.portal.page(PAGE).active


def test_each_due_run_is_started_by_some_job_whichever_comes_first(
    alice: Person, services: Services, clock: TurnableClock, turn: Turn
):
    runs = [body_of(alice.unpublish(PAGE, at=inside(clock, minutes=minutes))) for minutes in (50, 30, 40)]
    turn(hours=1)

    pump(services)

    assert [seen(alice, run)["state"] for run in runs] == ["succeeded"] * 3


def test_a_first_run_resumed_after_its_end_does_nothing_any_more(
    alice: Person, services: Services, clock: TurnableClock, turn: Turn, work
):
    first = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=5)))
    alice.portal.expire_refresh(alice.user_id)
    turn(hours=1, seconds=1)
    work()
    turn(hours=4)
    alice.opened()

    services.executor.run_batch(UUID(first["id"]))

    assert alice.portal.page(PAGE).active
    work()
    assert seen(alice, first)["problem"]["code"] == "both_times_past"


def test_the_asker_an_administrator_or_a_publisher_may_move_and_cancel(
    alice: Person, ada: Person, bob: Person, clock: TurnableClock
):
    run = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1)))
    later = {"at": inside(clock, hours=2)}
    ada.opened()
    refused = [bob.post(f"/runs/{run['id']}/move", later), bob.post(f"/runs/{run['id']}/cancel")]
    bob.portal.rights(bob.user_id, alice.portal.page(PAGE).site_id, ["read", "public"])
    bob.get("/pages?fresh=1")

    allowed = [person.post(f"/runs/{run['id']}/move", later) for person in (alice, ada, bob)]

    assert [answer.status_code for answer in refused] == [403, 403]
    assert [body_of(answer)["code"] for answer in refused] == ["not_allowed", "not_allowed"]
    assert [answer.status_code for answer in allowed] == [200, 200, 200]
    assert bob.post(f"/runs/{run['id']}/cancel").status_code == 200
    assert alice.post(f"/runs/{run['id']}/cancel").status_code == 409
