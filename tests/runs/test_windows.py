"""Windows over pages: of one person or several, one inside another, over plain orders, retried, cancelled, moved."""

from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from alembic import command
from sqlalchemy import text, update

from b24app.domain import ItemState
from b24app.services import Services
from b24app.store.models import RunItem
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.conftest import Turn
from tests.databases import alembic_of
from tests.people import Person
from tests.processes import wait_until
from tests.worker import pump

PAGE, OTHER, IN_SHOP = 351, 352, 411  # the last in another site
BEFORE_WINDOWS = "0008"  # the migration before them
ACT = "landing.landing.unpublic"
Go = Callable[..., None]


@pytest.fixture
def go(services: Services, standin: StandIn, turn: Turn) -> Go:
    """Let time pass, then let the worker do what is due."""

    def pass_by_and_work(**span: float) -> None:
        turn(seconds=timedelta(**span).total_seconds() + 1)
        pump(services, lambda task, run: standin.world.clock.advance(1))

    return pass_by_and_work


@pytest.fixture
def window(clock: TurnableClock) -> Callable[..., dict[str, Any]]:
    """Order pages down (or live) from so many hours on until so many hours on."""

    def order(
        person: Person, begins: float | None, ends: float, *lids: int, action: str = "unpublish"
    ) -> dict[str, Any]:
        times = {"until": (clock() + timedelta(hours=ends)).isoformat(timespec="seconds")}
        if begins is not None:
            times["at"] = (clock() + timedelta(hours=begins)).isoformat(timespec="seconds")
        return shown(person.opened().order(action, *(lids or (PAGE,)), **times))

    return order


def shown(answer) -> dict[str, Any]:
    assert answer.status_code in (200, 201), answer.text
    assert answer.json
    return answer.json


def run(person: Person, run_id: str) -> dict[str, Any]:
    return shown(person.opened().get(f"/runs/{run_id}"))


def back_of(person: Person, first: dict[str, Any]) -> dict[str, Any]:
    return run(person, first["returns_run"])


def detail(person: Person, run_id: str) -> str:
    (item,) = run(person, run_id)["items"]
    return str(item["detail"])


def is_up(person: Person, lid: int = PAGE) -> bool:
    return person.portal.page(lid).active


def name_of(person: Person) -> str:
    return person.portal.user(person.user_id).name


# --- windows that overlap ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("same_person", [True, False])
def test_of_two_windows_that_overlap_the_page_comes_back_with_the_last(
    alice: Person, ada: Person, go: Go, window, same_person: bool
):
    first = window(alice, 3, 12)
    second = window(alice if same_person else ada, 6, 18)

    go(hours=3)
    assert not is_up(alice)
    go(hours=3)
    go(hours=6)
    assert not is_up(alice), "the second window holds it"
    go(hours=6)

    assert is_up(alice)
    left = back_of(alice, first)
    assert (left["state"], left["counts"]["skipped"]) == ("succeeded", 1)
    assert left["items"][0]["code"] == "held_by_window"
    assert second["created_by"]["name"] in left["items"][0]["detail"]
    assert back_of(alice, second)["counts"]["succeeded"] == 1
    assert alice.portal.asked(ACT) == 1, "the page was down when the second began"


def test_a_short_window_inside_a_long_one_does_not_open_it(alice: Person, ada: Person, go: Go, window):
    outer, inner = window(alice, 3, 18), window(ada, 6, 9)

    for _ in range(3):
        go(hours=3)
    assert not is_up(alice)
    assert name_of(alice) in detail(ada, inner["returns_run"])
    go(hours=9)

    assert is_up(alice)
    assert back_of(alice, outer)["counts"]["succeeded"] == 1


def test_three_windows_and_the_middle_one_cancelled_before_it_began(alice: Person, ada: Person, go: Go, window):
    window(alice, 3, 12)
    middle = window(ada, 6, 18)
    window(alice, 9, 15)

    assert ada.post(f"/runs/{middle['id']}/cancel").status_code == 200
    for _ in range(4):
        go(hours=3)
    assert not is_up(alice)
    go(hours=3)

    assert is_up(alice)


def test_the_return_of_the_middle_window_cancelled_leaves_the_page_down(alice: Person, ada: Person, go: Go, window):
    window(alice, 3, 12)
    middle = window(ada, 6, 18)
    last = window(alice, 9, 15)
    for _ in range(3):
        go(hours=3)

    assert ada.opened().post(f"/runs/{middle['returns_run']}/cancel").status_code == 200
    for _ in range(3):
        go(hours=3)

    assert not is_up(alice)
    left = back_of(alice, last)["items"][0]
    assert (left["code"], name_of(ada) in left["detail"]) == ("kept_by_order", True)


def test_two_windows_back_to_back_never_show_the_page_between(
    alice: Person, ada: Person, standin: StandIn, go: Go, window
):
    window(alice, 3, 6)
    window(ada, 6, 9)

    for _ in range(3):
        go(hours=3)

    assert is_up(alice)
    assert [change.action for change in standin.world.recorder.changes] == ["unpublish", "publish"]


def test_a_window_over_a_plain_order_leaves_the_page_down(alice: Person, ada: Person, go: Go, window):
    shown(ada.opened().unpublish(PAGE))
    first = window(alice, 3, 6)

    go(hours=3)
    go(hours=3)

    assert not is_up(alice)
    assert back_of(alice, first)["problem"]["code"] == "nothing_to_bring_back"


def test_a_plain_order_over_a_window_keeps_the_page_down_in_words(alice: Person, ada: Person, go: Go, window):
    first = window(alice, 3, 6)
    go(hours=3)

    told = shown(ada.opened().post("/runs/preview", {"action": "unpublish", "lids": [PAGE]}))["items"][0]
    plain = shown(ada.unpublish(PAGE))
    go(hours=3)

    assert (told["will"], name_of(alice) in told["why"]) == ("unpublish", True)
    assert "stays unpublished for good" in told["why"]
    assert plain["items"][0]["state"] == "skipped"
    assert not is_up(alice)
    left = back_of(alice, first)["items"][0]
    assert (left["state"], left["code"]) == ("skipped", "kept_by_order")
    assert name_of(ada) in left["detail"]


def test_a_preview_says_how_much_longer_a_window_keeps_the_page_down(
    alice: Person, ada: Person, clock: TurnableClock, go: Go, window
):
    window(alice, None, 6)
    ends = [(clock() + timedelta(hours=hours)).isoformat(timespec="seconds") for hours in (3, 9)]

    shorter, longer = (
        shown(ada.opened().post("/runs/preview", {"action": "unpublish", "lids": [PAGE], "until": end}))["items"][0]
        for end in ends
    )

    assert shorter["will"] == "skip"
    assert longer["will"] == "unpublish"
    assert "comes back later" in longer["why"]


def test_one_who_may_not_publish_does_not_keep_a_page_down(alice: Person, bob: Person, go: Go, window):
    window(alice, 3, 6)
    go(hours=3)

    plain = shown(bob.opened().unpublish(PAGE))
    longer = window(bob, None, 9)
    go(hours=3)

    assert [each["items"][0]["code"] for each in (plain, longer)] == ["ACCESS_DENIED", "ACCESS_DENIED"]
    assert is_up(alice)


def test_live_until_windows_overlap_the_same_way(alice: Person, ada: Person, go: Go, window):
    shown(alice.unpublish(PAGE))
    first = window(alice, 3, 12, action="publish")
    window(ada, 6, 18, action="publish")

    go(hours=3)
    assert is_up(alice)
    go(hours=3)
    go(hours=6)
    assert is_up(alice), "the second window holds it"
    assert "keeps it published for longer" in detail(alice, first["returns_run"])
    go(hours=6)

    assert not is_up(alice)


def test_an_inner_window_of_the_other_kind_returns_to_the_outer_state(alice: Person, ada: Person, go: Go, window):
    window(alice, 3, 12)
    window(ada, 6, 9, action="publish")

    seen = []
    for _ in range(4):
        go(hours=3)
        seen.append(is_up(alice))

    assert seen == [False, True, False, True]


def test_a_live_window_that_outlasts_the_down_window_leaves_the_page_live(alice: Person, ada: Person, go: Go, window):
    window(alice, 3, 9)
    inner = window(ada, 6, 12, action="publish")

    seen = []
    for _ in range(4):
        go(hours=3)
        seen.append(is_up(alice))

    assert seen == [False, True, True, True]
    assert back_of(ada, inner)["state"] == "cancelled", "there was nothing to take down again"


def test_what_somebody_changed_by_hand_inside_a_window_stays_so(alice: Person, standin: StandIn, go: Go, window):
    first = window(alice, 3, 9)
    go(hours=3)
    now = standin.world.clock.now()
    alice.portal.change_page(PAGE, active=True, public=True, modified_by=1, modified_at=now)
    go(hours=1)
    alice.portal.change_page(PAGE, active=False, public=False, modified_by=1, modified_at=standin.world.clock.now())
    go(hours=5)

    assert not is_up(alice)
    assert back_of(alice, first)["items"][0]["code"] == "changed_since"


# --- retry, undo, unknown ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lids", [(PAGE,), (PAGE, OTHER)])
def test_the_retry_of_a_down_until_joins_its_return(alice: Person, go: Go, window, lids: tuple[int, ...]):
    site = alice.portal.page(PAGE).site_id
    alice.portal.rights(alice.user_id, site, ["read"])
    first = window(alice, 3, 9, *lids)
    go(hours=3)
    assert run(alice, first["id"])["state"] == "failed"
    alice.portal.rights(alice.user_id, site, ["read", "public"])

    again = shown(alice.opened().post(f"/runs/{first['id']}/retry"))
    go(seconds=1)

    assert (again["until"], again["returns_run"]) == (first["until"], first["returns_run"])
    assert not any(is_up(alice, lid) for lid in lids)
    go(hours=6)
    assert all(is_up(alice, lid) for lid in lids)


def test_a_refused_retry_leaves_the_return_it_was_to_join(alice: Person, standin: StandIn, go: Go, window):
    site = alice.portal.page(PAGE).site_id
    first = window(alice, 3, 9, PAGE, OTHER)
    alice.portal.rights(alice.user_id, site, ["read"])
    go(hours=3)
    alice.portal.rights(alice.user_id, site, ["read", "public"])
    alice.portal.change_page(OTHER, deleted=True)
    standin.fault(0, method="batch", kind="error", code="QUERY_LIMIT_EXCEEDED", status=503, times=9)
    standin.fault(0, method="landing.landing.getList", kind="error", code="QUERY_LIMIT_EXCEEDED", status=503, times=9)

    alice.post(f"/runs/{first['id']}/retry")
    standin.clear_faults()

    assert back_of(alice, first)["state"] == "scheduled"


def test_no_retry_takes_pages_down_when_their_time_to_come_back_is_over(alice: Person, go: Go, window):
    site = alice.portal.page(PAGE).site_id
    alice.portal.rights(alice.user_id, site, ["read"])
    first = window(alice, 3, 6)
    go(hours=3)
    go(hours=3)
    alice.portal.rights(alice.user_id, site, ["read", "public"])

    assert "retry" not in run(alice, first["id"])["can"]
    assert alice.post(f"/runs/{first['id']}/retry").status_code == 409
    assert is_up(alice)


def test_pages_whose_state_nobody_knows_are_looked_at_and_brought_back(
    alice: Person, ada: Person, standin: StandIn, services: Services, go: Go, window
):
    """A lost answer, then the run is cancelled, then the token is dead: the pages are down, and come back."""
    first = window(alice, 3, 9, PAGE, OTHER)
    standin.fault(0, method="batch", kind="reset_after", times=1)
    go(hours=3)
    assert not is_up(alice)

    assert shown(ada.opened().post(f"/runs/{first['id']}/cancel"))["state"] == "cancelled"
    alice.portal.expire_refresh(alice.user_id)
    go(minutes=10)
    items = run(ada, first["id"])["items"]
    assert [item["code"] for item in items] == ["outcome_unknown", "outcome_unknown"]
    assert back_of(ada, first)["state"] == "scheduled"
    go(hours=6)
    assert back_of(ada, first)["state"] == "waiting"
    alice.opened()
    go(seconds=1)

    assert is_up(alice)
    assert is_up(alice, OTHER)


def test_pages_come_back_though_a_retry_met_them_already_down(
    alice: Person, ada: Person, standin: StandIn, go: Go, window
):
    """Nobody knew whether they went down; the person tries again before their end."""
    first = window(alice, 3, 9, PAGE, OTHER)
    standin.fault(0, method="batch", kind="reset_after", times=1)
    go(hours=3)
    shown(ada.opened().post(f"/runs/{first['id']}/cancel"))
    alice.portal.expire_refresh(alice.user_id)
    go(minutes=10)
    assert [item["code"] for item in run(ada, first["id"])["items"]] == ["outcome_unknown"] * 2

    again = shown(alice.opened().post(f"/runs/{first['id']}/retry"))
    go(seconds=1)

    assert [item["code"] for item in run(alice, again["id"])["items"]] == ["already_so"] * 2
    go(hours=6)
    assert is_up(alice)
    assert is_up(alice, OTHER)


def test_a_lost_answer_and_a_colleagues_edit_are_told_at_the_end(alice: Person, standin: StandIn, go: Go, window):
    """The page went down and was edited before anybody looked: it is not taken for one that was down before."""
    first = window(alice, 3, 9, PAGE, OTHER)
    standin.fault(0, method="batch", kind="reset_after", times=1)
    go(hours=3)
    assert [item["state"] for item in run(alice, first["id"])["items"]] == ["running"] * 2
    alice.portal.change_page(PAGE, modified_by=1, modified_at=standin.world.clock.now())
    go(minutes=10)

    assert [item["code"] for item in run(alice, first["id"])["items"]] == ["outcome_unknown", None]
    go(hours=6)
    assert [item["code"] for item in back_of(alice, first)["items"]] == ["changed_since", None]
    assert is_up(alice, OTHER)


def refused_on_one_site(alice: Person, go: Go, window) -> dict[str, Any]:
    """A window over pages of two sites that has begun on one of them only."""
    site = alice.portal.page(PAGE).site_id
    alice.portal.rights(alice.user_id, site, ["read"])
    first = window(alice, 3, 9, PAGE, IN_SHOP)
    go(hours=3)
    assert run(alice, first["id"])["state"] == "partial"
    alice.portal.rights(alice.user_id, site, ["read", "public"])
    return first


def test_who_retried_a_part_does_not_move_the_end_of_the_whole(
    alice: Person, bob: Person, clock: TurnableClock, go: Go, window
):
    first = refused_on_one_site(alice, go, window)
    bob.portal.rights(bob.user_id, alice.portal.page(PAGE).site_id, ["read", "public"])
    bob.portal.rights(bob.user_id, alice.portal.page(IN_SHOP).site_id, ["read"])
    again = shown(bob.opened().post(f"/runs/{first['id']}/retry"))
    later = {"until": (clock() + timedelta(hours=90)).isoformat(timespec="seconds")}

    refused, allowed = (person.post(f"/runs/{again['id']}/move", later).status_code for person in (bob, alice))

    assert (refused, allowed) == (403, 200)


def test_a_takeover_of_a_joined_retry_leaves_the_return_to_its_asker(
    alice: Person, ada: Person, bob: Person, go: Go, window
):
    site = alice.portal.page(PAGE).site_id
    alice.portal.rights(alice.user_id, site, ["read"])
    first = window(alice, 3, 9, PAGE, OTHER)
    go(hours=3)
    bob.portal.rights(bob.user_id, site, ["read", "public"])
    again = shown(bob.opened().post(f"/runs/{first['id']}/retry"))
    bob.portal.expire_refresh(bob.user_id)
    go(hours=2)
    assert run(ada, again["id"])["state"] == "waiting"

    taken = shown(ada.opened().post(f"/runs/{again['id']}/takeover"))

    assert taken["acting_as"]["user_id"] == ada.user_id
    assert back_of(ada, first)["acting_as"]["user_id"] == alice.user_id


def test_looks_at_a_return_that_waits_for_a_batch_do_not_add_up(
    alice: Person, services: Services, turn: Turn, go: Go, window
):
    first = window(alice, 3, 9, PAGE, OTHER)
    go(hours=3)
    with services.store.begin() as db:
        sent = {"state": ItemState.RUNNING, "before": {"active": True, "read_at": services.clock().isoformat()}}
        db.execute(update(RunItem).where(RunItem.run_id == UUID(first["id"])).values(sent))
    turn(hours=6, seconds=2)

    for _ in range(3):
        services.schedule.begin(UUID(first["returns_run"]))

    jobs = text("select count(*) from procrastinate_jobs where status = 'todo' and args->>'run' = :run")
    with services.store.begin() as db:
        assert db.scalar(jobs, {"run": first["returns_run"]}) == 1


def test_a_retry_keeps_the_end_in_the_zone_it_was_said_in(alice: Person, go: Go, clock: TurnableClock):
    site = alice.portal.page(PAGE).site_id
    alice.portal.rights(alice.user_id, site, ["read"])

    def wall(hours: float, zone: str) -> str:
        return f"{(clock() + timedelta(hours=hours)).astimezone(ZoneInfo(zone)):%Y-%m-%dT%H:%M}"

    berlin, tokyo = "Europe/Berlin", "Asia/Tokyo"
    times = {"at": wall(2, berlin), "until": wall(9, berlin), "zone": berlin}
    first = shown(alice.opened().order("unpublish", PAGE, OTHER, **times))
    shown(alice.post(f"/runs/{first['id']}/move", {"at": wall(3, tokyo), "zone": tokyo}))
    go(hours=3)
    assert run(alice, first["id"])["zone"] == tokyo
    alice.portal.rights(alice.user_id, site, ["read", "public"])

    again = shown(alice.post(f"/runs/{first['id']}/retry"))

    assert (again["zone"], again["until"]) == (berlin, first["until"])


@pytest.mark.parametrize("lids", [(PAGE,), (PAGE, OTHER)])
def test_until_does_not_bring_back_what_was_down_before_a_lost_answer(
    alice: Person, standin: StandIn, go: Go, window, lids: tuple[int, ...]
):
    for lid in lids:
        alice.portal.change_page(lid, active=False, public=False, modified_by=alice.user_id)
    first = window(alice, 0.01, 3, *lids)
    for method in ("batch", "landing.landing.getList"):
        standin.fault(0, method=method, kind="reset_after", times=1)
    go(minutes=1)
    go(minutes=5)
    done = run(alice, first["id"])
    go(hours=3)

    assert [item["state"] for item in done["items"]] == ["skipped"] * len(lids)
    assert not any(is_up(alice, lid) for lid in lids)


def test_after_a_lost_answer_what_was_live_comes_back_at_its_time(alice: Person, standin: StandIn, go: Go, window):
    first = window(alice, 3, 6, PAGE, OTHER)
    alice.portal.change_page(OTHER, active=False, public=False, modified_by=alice.user_id)
    standin.fault(0, method="batch", kind="reset_after", times=1)

    go(hours=3)
    go(minutes=1)
    assert [item["state"] for item in run(alice, first["id"])["items"]] == ["succeeded", "skipped"]
    go(hours=3)

    assert is_up(alice)
    assert not is_up(alice, OTHER)


def test_a_colleagues_order_that_met_the_page_down_does_not_spoil_the_undo(alice: Person, ada: Person):
    mine = alice.unpublish(OTHER)
    page = alice.portal.page(OTHER)

    same = shown(ada.opened().unpublish(OTHER))
    undone = shown(alice.undo(mine))

    assert same["items"][0]["state"] == "skipped"
    assert page.modified_by == alice.user_id
    assert alice.portal.asked(ACT) == 1, "nothing was sent for a page that was already so"
    assert undone["counts"]["succeeded"] == 1
    assert is_up(alice, OTHER)


def test_an_undo_that_changed_nothing_is_not_used_up(alice: Person, standin: StandIn):
    mine = alice.unpublish(PAGE)
    before = alice.portal.page(PAGE)
    alice.portal.change_page(PAGE, modified_by=1, modified_at=standin.world.clock.now() + 3600)
    first = shown(alice.undo(mine))
    alice.portal.change_page(PAGE, modified_by=before.modified_by, modified_at=before.modified_at)

    assert first["items"][0]["code"] == "changed_since"
    assert "undo" in run(alice, shown(mine)["id"])["can"]
    assert alice.undo(mine).status_code == 201


def test_of_many_pages_nothing_is_sent_for_those_already_so(alice: Person, services: Services, standin: StandIn):
    lids = alice.portal.add_pages(60, site=3)
    for lid in lids[1::2]:
        alice.portal.change_page(lid, active=False, public=False, modified_by=1)

    done = shown(alice.unpublish(*lids))
    pump(services)

    counts = run(alice, done["id"])["counts"]
    assert (counts["succeeded"], counts["skipped"]) == (30, 30)
    assert alice.portal.asked(ACT) == 30
    assert {alice.portal.page(lid).modified_by for lid in lids[1::2]} == {1}


# --- halves share their fate -------------------------------------------------------------------------------------


def test_a_takeover_hands_over_both_halves(alice: Person, ada: Person, go: Go, window):
    first = window(alice, 3, 6)
    alice.portal.forget_user(alice.user_id)
    go(hours=3)
    assert run(ada, first["id"])["state"] == "waiting"

    assert ada.opened().post(f"/runs/{first['id']}/takeover").status_code == 200
    go(seconds=1)
    assert not is_up(ada)
    go(hours=3)

    assert back_of(ada, first)["acting_as"]["user_id"] == ada.user_id
    assert is_up(ada)


def test_a_dead_token_found_on_the_first_half_is_a_doubt_on_the_second(alice: Person, ada: Person, go: Go, window):
    first = window(alice, 3, 9)
    alice.portal.expire_refresh(alice.user_id)
    go(hours=3)

    assert "takeover" in back_of(ada, first)["can"]
    assert ada.post(f"/runs/{first['returns_run']}/takeover").status_code == 200
    assert run(ada, first["id"])["acting_as"]["user_id"] == ada.user_id


def test_either_end_is_moved_from_either_half(alice: Person, clock: TurnableClock, go: Go, window):
    first = window(alice, 3, 6)
    halves = [f"/runs/{first['id']}/move", f"/runs/{first['returns_run']}/move"]

    now = clock()

    def at(hours: float) -> str:
        return (now + timedelta(hours=hours)).replace(microsecond=0).isoformat().replace("+00:00", "Z")

    both = shown(alice.post(halves[1], {"at": at(4), "until": at(8)}))
    begins = shown(alice.post(halves[1], {"at": at(5)}))
    ends = shown(alice.post(halves[0], {"until": at(9)}))
    forms = [alice.fragment("GET", f"/runs/dialog?what=reschedule&ids={half.split('/')[2]}").text for half in halves]
    crossed = [alice.post(half, {"at": at(9), "until": at(5)}).status_code for half in halves]

    assert both["id"] == begins["id"] == first["returns_run"]
    assert (ends["id"], ends["at"], ends["until"]) == (first["id"], at(5), at(9))
    assert crossed == [422, 422]
    assert [[f'name="{end}"' in form for end in ("at", "until")] for form in forms] == [[True, True]] * 2
    assert alice.post(halves[0], {}).status_code == 422
    go(hours=5)
    assert not is_up(alice)
    assert alice.opened().post(halves[0], {"at": at(7)}).status_code == 409
    assert shown(alice.post(halves[0], {"until": at(6)}))["until"] == at(6)
    go(hours=1)
    assert is_up(alice)


def test_a_plain_order_has_no_end_to_be_moved(alice: Person, clock: TurnableClock):
    plain = shown(alice.unpublish(PAGE, at=(clock() + timedelta(hours=1)).isoformat(timespec="seconds")))

    answer = alice.post(
        f"/runs/{plain['id']}/move", {"until": (clock() + timedelta(hours=2)).isoformat(timespec="seconds")}
    )

    assert answer.status_code == 422


def test_when_nobody_helps_for_two_weeks_both_halves_end_in_words(
    alice: Person, ada: Person, services: Services, turn: Turn, go: Go, window
):
    first = window(alice, 3, 24 * 30)
    alice.portal.expire_refresh(alice.user_id)
    go(hours=3)
    turn(days=15)

    services.schedule.give_up()

    assert run(ada, first["id"])["items"][0]["code"] == "waited_too_long"
    assert back_of(ada, first)["problem"]["code"] == "nothing_to_bring_back"
    alice.opened()
    again = shown(alice.post(f"/runs/{first['id']}/retry"))
    assert again["returns_run"] not in (None, first["returns_run"]), "the pages still come back"
    assert not is_up(alice)
    go(days=14, hours=21)
    assert is_up(alice)


# --- at the same moment --------------------------------------------------------------------------------------------


def test_an_order_that_meets_a_return_in_flight_is_not_taken_for_done(
    alice: Person, ada: Person, services: Services, standin: StandIn, turn: Turn, go: Go, window
):
    """Somebody orders the page down while the return that brings it back is on its way."""
    back = f"/runs/{window(alice, None, 3)['returns_run']}"
    turn(hours=3, seconds=1)
    alice.opened()
    ada.opened()
    standin.fault(0, method="landing.landing.getList", kind="latency", seconds=3.0, times=1, user=alice.user_id)
    at_work = Thread(target=pump, args=[services])
    at_work.start()
    wait_until(lambda: shown(alice.get(back))["counts"]["running"] == 1)

    answer = ada.unpublish(PAGE)
    at_work.join(30)
    go(seconds=6)

    assert answer.status_code == 201
    assert run(ada, shown(answer)["id"])["state"] == "succeeded"
    assert not is_up(ada)


def test_windows_open_at_an_upgrade_still_bring_back_what_they_took(alice: Person, database_url: str, go: Go, window):
    alice.portal.change_page(OTHER, active=False, public=False)
    window(alice, None, 3, PAGE, OTHER)
    go(seconds=1)

    command.downgrade(alembic_of(database_url), BEFORE_WINDOWS)
    command.upgrade(alembic_of(database_url), "head")
    go(hours=3)

    assert is_up(alice)
    assert not is_up(alice, OTHER)
