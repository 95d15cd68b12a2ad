"""The same order twice is asked about; pages of one title in one site are told apart by their address."""

from datetime import timedelta

import pytest

from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.conftest import Work
from tests.people import Person, run_id_of

PAGE, OTHER = 351, 352


def inside(clock: TurnableClock, **span: float) -> str:
    return (clock() + timedelta(**span)).isoformat(timespec="seconds")


def same_as(person: Person, *lids: int, action: str = "unpublish", **more: object) -> list[str]:
    answer = person.post("/runs/preview", {"action": action, "lids": list(lids), **more})
    assert answer.status_code == 200, answer.text
    found: list[str] = answer.json["same_as"]  # type: ignore[index]
    return found


def test_the_same_pages_action_and_times_are_found_whoever_ordered_them(
    alice: Person, ada: Person, charlie: Person, clock: TurnableClock
):
    at, until = inside(clock, days=1), inside(clock, days=2)
    run = run_id_of(alice.unpublish(PAGE, OTHER, at=at, until=until))
    ada.opened()

    assert same_as(ada, OTHER, PAGE, at=at, until=until) == [run]
    assert same_as(charlie, PAGE, OTHER, at=at, until=until) == []


def test_a_colleagues_order_is_told_only_to_who_sees_all_of_its_pages(alice: Person, bob: Person, clock: TurnableClock):
    at = inside(clock, days=1)
    run = run_id_of(alice.unpublish(PAGE, OTHER, at=at))
    assert same_as(bob, PAGE, OTHER, at=at) == [run]

    bob.portal.rights("reader", None, [])
    bob.get("/pages?fresh=1")

    assert same_as(bob, PAGE, OTHER, at=at) == []
    own = run_id_of(bob.unpublish(PAGE, OTHER, at=at))
    assert same_as(bob, PAGE, OTHER, at=at) == [own]


@pytest.mark.parametrize("change", [
    {"lids": [PAGE]}, {"lids": [PAGE, OTHER, 353]}, {"lids": [PAGE, 353]}, {"action": "publish"}, {"at": 2},
    {"until": 6}, {"until": None}, {"at": None}, {"kind": "KNOWLEDGE"},
])  # fmt: skip
def test_an_order_that_differs_in_anything_is_another_one(
    alice: Person, clock: TurnableClock, change: dict[str, object]
):
    times = {days: inside(clock, days=days) for days in (1, 2, 5, 6)}
    run_id_of(alice.unpublish(PAGE, OTHER, at=times[1], until=times[5]))
    wish = {"lids": [PAGE, OTHER], "action": "unpublish", "at": 1, "until": 5} | change
    for end in ("at", "until"):
        wish[end] = times.get(wish[end])  # type: ignore[call-overload]

    answer = alice.post("/runs/preview", wish)

    assert answer.status_code == 200
    assert answer.json["same_as"] == []  # type: ignore[index]


def test_an_order_that_has_ended_is_no_double(alice: Person, clock: TurnableClock, work: Work):
    at = inside(clock, days=1)
    run = run_id_of(alice.unpublish(PAGE, at=at))
    assert same_as(alice, PAGE, at=at) == [run]

    alice.post(f"/runs/{run}/cancel")

    assert same_as(alice, PAGE, at=at) == []


def test_an_order_for_now_that_is_not_done_yet_is_a_double(alice: Person, work: Work):
    run = run_id_of(alice.unpublish(PAGE, OTHER))
    assert same_as(alice, PAGE, OTHER) == [run]
    asked = alice.fragment("POST", "/runs/preview", action="unpublish", lids=[str(PAGE), str(OTHER)])

    assert 'id="once-more" required' in asked.text
    assert f'href="/runs/{run}"' in asked.text
    work()
    assert same_as(alice, PAGE, OTHER) == []


def test_the_dialog_asks_as_soon_as_the_same_time_is_chosen(alice: Person, clock: TurnableClock):
    at = inside(clock, days=1)
    run = run_id_of(alice.unpublish(PAGE, at=at))
    headers = {**alice.headers(), "HX-Request": "true", "HX-Target": "div#time-note", "Accept": "text/html"}
    form = {"action": "unpublish", "lids": PAGE}

    same = alice.client.post("/runs/preview", data={**form, "at": at}, headers=headers).text
    other = alice.client.post("/runs/preview", data={**form, "at": inside(clock, days=2)}, headers=headers).text

    assert alice.portal.user(alice.user_id).full_name in same
    assert f'href="/runs/{run}"' in same
    assert "once-more" not in other


def test_pages_of_one_title_in_one_site_are_told_apart_by_address(alice: Person, standin: StandIn, work: Work):
    alice.portal.change_page(PAGE, title="Sale")
    alice.portal.change_page(OTHER, title="Sale", site_id=alice.portal.page(PAGE).site_id)
    pages = {page["lid"]: page for page in alice.read("/pages?q=Sale")["pages"]}
    short = {lid: pages[lid]["url"].partition("://")[2] for lid in (PAGE, OTHER)}
    assert short[PAGE] != short[OTHER]

    asked = alice.fragment("POST", "/runs/preview", action="unpublish", lids=str(PAGE)).text
    run = run_id_of(alice.unpublish(PAGE, OTHER))
    work()

    assert short[PAGE] in asked
    assert short[OTHER] not in asked
    items = {item["lid"]: item["url"] for item in alice.read(f"/runs/{run}")["items"]}
    assert items == {lid: pages[lid]["url"] for lid in (PAGE, OTHER)}
    shown = alice.fragment("GET", f"/runs/{run}").text
    assert all(address in shown for address in short.values())
    assert all(page["url"] in alice.get(f"/runs/{run}.csv").text for page in pages.values() if page["lid"] in items)


def test_a_page_nobody_had_listed_has_its_address_too(alice: Person):
    run = run_id_of(alice.unpublish(PAGE))

    (item,) = alice.read(f"/runs/{run}")["items"]
    assert item["url"] == alice.read(f"/pages/{PAGE}")["url"]


def test_a_page_of_a_title_of_its_own_needs_no_address(alice: Person):
    page = alice.read(f"/pages/{PAGE}")

    asked = alice.fragment("POST", "/runs/preview", action="unpublish", lids=str(PAGE)).text

    assert page["url"].partition("://")[2] not in asked
