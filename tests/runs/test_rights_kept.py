"""Rights are asked for once in a while, not at each look; what cannot be asked hides pages and undoes nothing."""

from datetime import timedelta
from typing import Any

import pytest

from b24app.domain import RunState
from b24app.services import Services
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.conftest import Work
from tests.people import Person, run_id_of

ON_MAIN, IN_SHOP = 351, 411
LATER = "2030-06-01T10:00:00Z"


def requests_by(standin: StandIn, work: Any) -> int:
    before = standin.portals[0].requests()
    work()
    return standin.portals[0].requests() - before


def test_thirty_looks_at_a_colleagues_run_ask_the_portal_once(
    alice: Person, bob: Person, standin: StandIn, work: Work, clock: TurnableClock
):
    run = run_id_of(alice.unpublish(ON_MAIN, IN_SHOP))

    def look() -> None:
        for each in range(30):
            clock.tick(seconds=5)
            if each == 3:
                work_done.append(requests_by(standin, work))
            assert len(bob.read(f"/runs/{run}")["items"]) == 2

    work_done: list[int] = []
    asked = requests_by(standin, look) - sum(work_done)

    assert asked == 1
    clock.tick(minutes=6)
    assert requests_by(standin, lambda: bob.read(f"/runs/{run}")) == 1


def test_a_portal_that_refuses_or_hangs_is_not_asked_at_each_look_either(alice: Person, bob: Person, standin: StandIn):
    run = run_id_of(alice.unpublish(ON_MAIN, IN_SHOP, at=LATER))
    standin.fault(0, "*", kind="error", code="INTERNAL_SERVER_ERROR", status=500, times=-1)

    def look() -> None:
        for _ in range(20):
            seen = bob.read(f"/runs/{run}")
            assert (seen["items"], seen["hidden"]) == ([], 2)

    assert requests_by(standin, look) <= 2


def test_a_right_that_was_refused_counts_as_soon_as_it_is_given(alice: Person, bob: Person):
    run = run_id_of(alice.unpublish(ON_MAIN, at=LATER))
    assert bob.post(f"/runs/{run}/cancel").status_code == 403

    alice.portal.rights(bob.user_id, 3, ["read", "public"])

    assert bob.post(f"/runs/{run}/cancel").status_code == 200


def test_of_a_run_on_very_many_sites_each_look_learns_more(alice: Person, bob: Person, services: Services):
    """Time for one question a look stands for a portal that takes half a minute to tell of all its sites."""
    services.permissions.most_seconds = 0
    sites = alice.portal.add_sites(110)
    lids = [page.id for page in alice.portal.pages("PAGE") if page.site_id in sites]
    run = run_id_of(alice.unpublish(*lids, at=LATER))

    hidden = [bob.read(f"/runs/{run}")["hidden"] for _ in range(3)]

    assert hidden == [60, 0, 0]  # what may be done with the run takes a question of its own, which tells of more sites


def test_who_may_steer_on_very_many_sites_is_known_in_the_end(alice: Person, bob: Person, services: Services):
    services.permissions.most_seconds = 0
    sites = alice.portal.add_sites(110)
    lids = [page.id for page in alice.portal.pages("PAGE") if page.site_id in sites]
    run = run_id_of(alice.unpublish(*lids, at=LATER))
    bob.portal.rights(bob.user_id, None, ["read", "public"])

    said = [bob.post(f"/runs/{run}/cancel").status_code for _ in range(3)]

    assert said == [403, 403, 200]


def test_news_asks_a_portal_once_however_much_waits(
    alice: Person, bob: Person, standin: StandIn, work: Work, clock: TurnableClock
):
    for _ in range(12):
        run_id_of(alice.unpublish(ON_MAIN, IN_SHOP))
    standin.fault(0, "batch", kind="error", code="insufficient_scope", status=401, times=-1)
    work()
    standin.clear_faults()

    assert requests_by(standin, lambda: bob.read("/news")) == 1
    assert requests_by(standin, lambda: bob.read("/news")) == 0

    clock.tick(minutes=6)
    standin.fault(0, "*", kind="error", code="INTERNAL_SERVER_ERROR", status=500, times=-1)
    assert requests_by(standin, lambda: bob.read("/news")) == 1


def test_news_tells_of_waiting_runs_to_those_who_could_take_them_over(
    alice: Person, bob: Person, standin: StandIn, work: Work
):
    alice.portal.rights(bob.user_id, 3, ["read", "public"])
    mine, not_mine = run_id_of(alice.unpublish(ON_MAIN, 352)), run_id_of(alice.unpublish(IN_SHOP, 412))
    standin.fault(0, "batch", kind="error", code="insufficient_scope", status=401, times=-1)
    work()
    standin.clear_faults()

    waiting = [row["id"] for row in bob.read("/news")["waiting"]]

    assert mine in waiting
    assert not_mine not in waiting


def test_an_administrators_cancel_without_the_scope_is_answered_as_done(alice: Person, ada: Person, standin: StandIn):
    run = run_id_of(alice.unpublish(ON_MAIN, IN_SHOP, at=LATER))
    ada.opened()
    standin.portals[0].scope([])

    answer = ada.post(f"/runs/{run}/cancel")

    assert answer.status_code == 200, answer.text
    assert answer.json
    assert (answer.json["state"], answer.json["items"], answer.json["hidden"]) == (RunState.CANCELLED, [], 2)


def test_a_run_that_waits_for_the_scope_is_seen_by_everybody(alice: Person, bob: Person, standin: StandIn, work: Work):
    run = run_id_of(alice.unpublish(ON_MAIN, IN_SHOP))
    standin.portals[0].scope([])
    work()

    seen = bob.read(f"/runs/{run}")

    assert seen["state"] == RunState.WAITING
    assert (seen["items"], seen["hidden"], seen["counts"]["total"]) == ([], 2, 2)


@pytest.mark.parametrize("seconds", [0, 299])
def test_a_right_is_kept_for_five_minutes_and_no_longer(alice: Person, bob: Person, clock: TurnableClock, seconds: int):
    run = run_id_of(alice.unpublish(ON_MAIN, at=LATER))
    assert bob.read(f"/runs/{run}")["hidden"] == 0
    alice.portal.rights(bob.user_id, 3, [])
    clock.tick(seconds=seconds)
    assert bob.read(f"/runs/{run}")["hidden"] == 0

    clock.tick(seconds=timedelta(minutes=5).total_seconds() - seconds + 1)

    assert bob.read(f"/runs/{run}")["hidden"] == 1
