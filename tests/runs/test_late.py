"""Late orders: done at once while it is early enough, and after that on a person's word, however they came to go on."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from b24app.services import Services
from b24app.store.models import Run
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.conftest import Turn
from tests.people import Person
from tests.worker import pump

PAGE, OTHER = 351, 352


@pytest.fixture
def pumped(services: Services) -> Callable[[], None]:
    """The worker does what is due."""
    return lambda: pump(services)


def shown(answer) -> dict[str, Any]:
    assert answer.status_code in (200, 201), answer.text
    assert answer.json
    return answer.json


def run(person: Person, run_id: str) -> dict[str, Any]:
    return shown(person.opened().get(f"/runs/{run_id}"))


def down(person: Person, *lids: int) -> None:
    for lid in lids:
        person.portal.change_page(lid, active=False, public=False)


def inside(clock: TurnableClock, **span: float) -> str:
    return (clock() + timedelta(**span)).isoformat(timespec="seconds")


def code(person: Person, run_id: str) -> str | None:
    problem = run(person, run_id)["problem"]
    return problem and problem["code"]


def test_a_publish_whose_asker_comes_back_after_days_waits_for_their_word(
    alice: Person, ada: Person, clock: TurnableClock, turn: Turn, pumped
):
    down(alice, PAGE)
    order = shown(alice.publish(PAGE, at=inside(clock, hours=1)))
    alice.portal.expire_refresh(alice.user_id)
    turn(hours=1, seconds=1)
    pumped()
    assert run(ada, order["id"])["state"] == "waiting"

    turn(days=10)
    alice.opened()
    pumped()

    waiting = run(alice, order["id"])
    assert (waiting["state"], waiting["problem"]["code"]) == ("waiting", "too_late")
    assert "takeover" in waiting["can"]
    assert not alice.portal.page(PAGE).active


def test_a_publish_begun_in_time_waits_if_its_first_batch_is_a_day_late(
    alice: Person, services: Services, clock: TurnableClock, turn: Turn, pumped
):
    down(alice, PAGE)
    order = shown(alice.publish(PAGE, at=inside(clock, hours=1)))
    turn(hours=1, seconds=1)
    pump(services, most=1)
    assert run(alice, order["id"])["state"] == "queued"

    turn(days=1)
    pumped()

    assert code(alice, order["id"]) == "too_late"
    assert not alice.portal.page(PAGE).active


@pytest.mark.parametrize(("hours", "state"), [(23, "succeeded"), (25, "waiting")])
def test_unpublishing_waits_for_a_decision_after_a_day(
    alice: Person, clock: TurnableClock, turn: Turn, pumped, hours: int, state: str
):
    order = shown(alice.unpublish(PAGE, at=inside(clock, hours=1)))

    turn(hours=1 + hours)
    pumped()

    late = run(alice, order["id"])
    assert late["state"] == state
    assert alice.portal.page(PAGE).active is (state == "waiting")
    if state == "succeeded":
        assert "23 hours after the set time" in late["items"][0]["detail"]


def test_a_publish_for_now_left_undone_for_a_day_waits_for_a_decision(alice: Person, turn: Turn, pumped):
    down(alice, PAGE, OTHER)
    order = shown(alice.publish(PAGE, OTHER))

    turn(days=1)
    pumped()

    assert code(alice, order["id"]) == "too_late"
    assert not alice.portal.page(PAGE).active


def test_a_run_interrupted_for_long_does_not_go_on_without_being_asked(
    alice: Person, services: Services, clock: TurnableClock, turn: Turn, pumped
):
    lids = alice.portal.add_pages(30, site=3)
    down(alice, *lids)
    order = shown(alice.publish(*lids, at=inside(clock, minutes=1)))
    turn(minutes=1, seconds=1)
    pump(services, most=2)
    assert 0 < run(alice, order["id"])["counts"]["succeeded"] < 30

    turn(hours=2)
    pumped()

    assert code(alice, order["id"]) == "too_late"
    assert run(alice, order["id"])["counts"]["pending"] > 0


def test_the_decision_is_kept_and_asked_for_only_once(
    alice: Person, ada: Person, services: Services, clock: TurnableClock, turn: Turn, pumped
):
    down(alice, PAGE)
    order = shown(alice.publish(PAGE, at=inside(clock, hours=1)))
    turn(hours=5)
    pumped()
    button = alice.opened().fragment("GET", f"/runs/{order['id']}").text
    decided_at = clock()
    assert ada.opened().post(f"/runs/{order['id']}/takeover").status_code == 200
    ada.portal.expire_refresh(ada.user_id)
    pumped()
    assert code(alice, order["id"]) not in (None, "too_late")

    turn(hours=5)
    ada.opened()
    pumped()

    assert "Publish now, 4 hours late" in button
    assert run(ada, order["id"])["state"] == "succeeded"
    with services.store.begin() as db:
        row = db.get_one(Run, order["id"])
        assert row.decided_by == ada.user_id
        assert row.decided_at is not None
        assert abs(row.decided_at - decided_at) < timedelta(minutes=5)


def test_taking_over_a_late_run_that_waits_for_somebody_is_the_decision(
    alice: Person, ada: Person, clock: TurnableClock, turn: Turn, pumped
):
    down(alice, PAGE)
    order = shown(alice.publish(PAGE, at=inside(clock, hours=1)))
    alice.portal.expire_refresh(alice.user_id)
    turn(hours=1, seconds=1)
    pumped()
    turn(hours=3)

    button = ada.opened().fragment("GET", f"/runs/{order['id']}").text
    assert ada.post(f"/runs/{order['id']}/takeover").status_code == 200
    pumped()

    assert "3 hours late" in button
    assert run(ada, order["id"])["state"] == "succeeded"
    assert ada.portal.page(PAGE).active


def test_a_first_half_resumed_after_both_times_is_cancelled_in_words(
    alice: Person, ada: Person, clock: TurnableClock, turn: Turn, pumped
):
    order = shown(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=3)))
    alice.portal.expire_refresh(alice.user_id)
    turn(hours=1, seconds=1)
    pumped()
    turn(hours=3)
    alice.opened()
    pumped()

    assert code(alice, order["id"]) == "both_times_past"
    assert alice.portal.page(PAGE).active


# --- one sick run --------------------------------------------------------------------------------------------------


def test_a_run_whose_pages_keep_failing_holds_up_nobody_and_ends_in_words(
    alice: Person, ada: Person, services: Services, standin: StandIn, turn: Turn, pumped
):
    standin.fault(0, method="landing.landing.unpublic", kind="error", code="SYSTEM_ERROR", status=400, times=-1, user=7)
    sick = shown(alice.unpublish(PAGE, OTHER))
    pumped()
    turn(seconds=5)
    pumped()

    lids = alice.portal.add_pages(3, site=3)
    healthy = shown(ada.opened().unpublish(*lids))
    pumped()

    assert run(ada, healthy["id"])["state"] == "succeeded"
    assert run(alice, sick["id"])["state"] == "running"
    for _ in range(10):
        turn(minutes=11)
        pumped()
    ended = run(alice, sick["id"])
    assert (ended["state"], ended["counts"]["failed"]) == ("failed", 2)
    assert "retry" in ended["can"]


def test_a_run_waits_while_its_portal_is_closed_and_then_goes_on(
    alice: Person, ada: Person, standin: StandIn, turn: Turn, pumped
):
    order = shown(alice.unpublish(PAGE, OTHER))
    standin.fault(0, method="*", kind="error", code="PORTAL_DELETED", status=403, times=-1)
    for _ in range(12):
        pumped()
        turn(minutes=11)
    standin.clear_faults()
    waiting = run(ada, order["id"])

    for _ in range(2):
        turn(minutes=11)
        pumped()

    assert (waiting["state"], waiting["problem"]["code"]) == ("waiting", "PORTAL_DELETED")
    assert run(alice, order["id"])["state"] == "succeeded"


# --- sent again ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", [{"at": 5}, {"at": 5, "until": 60}, {"until": 5}])
def test_an_order_sent_again_with_its_key_after_its_time_is_the_same_run(
    alice: Person, clock: TurnableClock, turn: Turn, when: dict[str, int]
):
    times = {name: inside(clock, minutes=minutes) for name, minutes in when.items()}
    first = alice.unpublish(PAGE, key="k1", **times)
    turn(minutes=10)
    alice.opened()

    again = alice.unpublish(PAGE, key="k1", **times)
    other = alice.unpublish(OTHER, key="k1", **times)

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 422)
    assert shown(again)["id"] == shown(first)["id"]
    assert other.json
    assert other.json["code"] == "idempotency_key_reused"


def test_a_refused_time_does_not_use_the_key_up(alice: Person, clock: TurnableClock):
    refused = alice.unpublish(PAGE, key="k1", at=inside(clock, hours=-2))

    assert refused.status_code == 422
    assert alice.unpublish(PAGE, key="k1").status_code == 201
