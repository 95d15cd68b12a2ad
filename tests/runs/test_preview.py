"""What the preview says before an order, page by page; the contract's shape of it."""

import re
from datetime import timedelta

import pytest

from b24sandbox import StandIn
from tests.clocks import BACK, FORWARD, YEAR, TurnableClock
from tests.people import Person

PAGE, OTHER = 351, 352
ITEM = {"lid", "title", "site", "published", "may", "main", "will", "why"}


def preview(person: Person, *lids: int, action: str = "unpublish", **more: object) -> dict:
    answer = person.post("/runs/preview", {"action": action, "lids": list(lids), **more})
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    return answer.json


def inside(clock: TurnableClock, **span: float) -> str:
    return (clock() + timedelta(**span)).isoformat(timespec="seconds")


def test_the_shape_is_the_contracts(alice: Person):
    told = preview(alice, PAGE, 999_999)

    assert set(told) == {"items", "counts", "same_as"}
    assert [set(item) for item in told["items"]] == [ITEM, ITEM]
    assert set(told["counts"]) == {"will", "skip", "main", "may_not", "missing"}


def test_a_live_page_will_come_down_and_nothing_more_is_said(alice: Person):
    (item,) = preview(alice, PAGE)["items"]

    assert (item["published"], item["may"], item["will"], item["why"]) == (True, True, "unpublish", None)


def test_a_page_that_is_down_already_is_skipped_with_the_reason(alice: Person):
    alice.portal.change_page(PAGE, active=False, public=False)

    told = preview(alice, PAGE)

    assert (told["items"][0]["will"], told["counts"]["skip"]) == ("skip", 1)
    assert told["items"][0]["why"] == "It is already unpublished."
    assert alice.unpublish(PAGE).json["items"][0]["detail"] == "It was already unpublished."  # type: ignore[index]


def test_a_main_page_is_counted_and_said(alice: Person):
    main = alice.portal.state.sites[alice.portal.page(PAGE).site_id].index_lid
    assert main is not None

    told = preview(alice, main)

    assert (told["items"][0]["main"], told["counts"]["main"]) == (True, 1)
    assert "main page" in told["items"][0]["why"]


def test_without_the_right_it_is_skipped_and_the_site_is_named(bob: Person):
    told = preview(bob, PAGE)

    assert (told["items"][0]["may"], told["items"][0]["will"], told["counts"]["may_not"]) == (False, "skip", 1)
    assert told["items"][0]["site"] in told["items"][0]["why"]


def test_the_dialog_orders_what_it_says_and_leaves_the_rest_out(alice: Person):
    shown = alice.fragment("POST", "/runs/preview", action="unpublish", lids=[str(PAGE), "999999"]).text

    assert re.findall(r'name="lids" value="(\d+)"', shown) == [str(PAGE)]
    assert "1 page will be skipped" in shown


def test_a_page_that_is_not_there_is_counted_as_missing(alice: Person):
    told = preview(alice, 999_999)

    assert told["counts"] == {"will": 0, "skip": 1, "main": 0, "may_not": 0, "missing": 1}
    assert told["items"][0]["title"]


def test_a_page_of_an_unpublished_site_says_so_for_either_action(alice: Person, standin: StandIn):
    with standin.world.lock:
        alice.portal.state.sites[alice.portal.page(PAGE).site_id].active = False
    down = preview(alice, PAGE)["items"][0]
    alice.portal.change_page(OTHER, active=False, public=False)
    alice.get("/pages?fresh=1")

    up = preview(alice, OTHER, action="publish")["items"][0]

    assert "site is unpublished" in down["why"]
    assert "will come back with it" in up["why"]


def test_the_preview_names_every_schedule_of_the_page_and_its_asker(alice: Person, clock: TurnableClock):
    for days in (1, 2):
        alice.unpublish(PAGE, at=inside(clock, days=days))

    (item,) = preview(alice, PAGE)["items"]

    assert item["will"] == "unpublish"
    assert item["why"].count("own schedule") == 1
    assert item["why"].count("Goes down: ") == 2
    assert alice.portal.user(alice.user_id).full_name in item["why"]


def test_for_a_later_time_the_schedules_known_now_are_reckoned_with(alice: Person, clock: TurnableClock):
    alice.unpublish(PAGE, at=inside(clock, days=1))

    before = preview(alice, PAGE, at=inside(clock, hours=1))["items"][0]
    after = preview(alice, PAGE, at=inside(clock, days=2))["items"][0]
    back = preview(alice, PAGE, action="publish", at=inside(clock, days=2))["items"][0]

    assert before["will"] == "unpublish"
    assert after["will"] == "skip"
    assert "by then" in after["why"]
    assert back["will"] == "publish"


def test_a_page_published_by_hand_keeps_its_schedule_and_views_say_so(alice: Person, clock: TurnableClock):
    alice.unpublish(PAGE)
    scheduled = alice.unpublish(PAGE, at=inside(clock, days=1)).json
    assert scheduled

    published = alice.publish(PAGE).json

    assert published
    assert "keeps its schedule" in published["items"][0]["detail"]
    assert alice.get(f"/pages/{PAGE}").json["scheduled_at"] == scheduled["at"]  # type: ignore[index]
    view = alice.fragment("GET", f"/pages/{PAGE}").text
    assert "Goes down" in view
    assert f"/runs/{scheduled['id']}" in view


def test_the_dialog_explains_a_time_on_both_clocks_and_a_doubled_one(alice: Person):
    form = {"action": "unpublish", "lids": PAGE, "at": f"{BACK}T03:30", "zone": "Europe/Riga"}
    headers = {**alice.headers(), "HX-Request": "true", "HX-Target": "div#time-note", "Accept": "text/html"}

    answer = alice.client.post("/runs/preview", data=form, headers=headers)

    assert answer.status_code == 200
    assert "UTC+03:00" in answer.text
    assert "twice" in answer.text
    assert "On your clock" in answer.text


def test_the_dialog_offers_the_time_after_a_skipped_one(alice: Person):
    form = {"action": "unpublish", "lids": PAGE, "at": f"{FORWARD}T03:30", "zone": "Europe/Riga"}
    headers = {**alice.headers(), "HX-Request": "true", "HX-Target": "div#time-note", "Accept": "text/html"}

    answer = alice.client.post("/runs/preview", data=form, headers=headers)

    assert answer.status_code == 200
    assert '<template data-wrong="at">' in answer.text
    assert f'data-value="{FORWARD}T04:30"' in answer.text


@pytest.mark.parametrize(
    ("at", "until", "said"),
    [
        (
            f"{YEAR}-03-01T23:59",
            f"{YEAR}-03-08T08:00",
            f"Down Mar 1, {YEAR} at 11:59\u00a0PM, back Mar 8, {YEAR} at 8:00\u00a0AM, Riga time.",
        ),
        (f"{YEAR}-03-01T23:59", "", "until someone publishes again."),
        ("", f"{YEAR}-03-08T08:00", f"Down now, back Mar 8, {YEAR}"),
        (f"{YEAR}-03-01T23:59", f"{YEAR}-03-01T08:00", "The return must be later than the take-down."),
        ("2020-03-01T23:59", "", "This time has already passed. Choose a later one."),
        ("2040-03-01T23:59", "", "This is more than five years away. Choose an earlier time."),
        ("soon", "", "The time could not be read."),
    ],
)
def test_the_dialog_says_both_ends_in_one_line_or_what_is_wrong(alice: Person, at: str, until: str, said: str):
    form = {"action": "unpublish", "lids": PAGE, "at": at, "until": until, "zone": "Europe/Riga"}
    headers = {**alice.headers(), "HX-Request": "true", "HX-Target": "div#time-note", "Accept": "text/html"}

    answer = alice.client.post("/runs/preview", data=form, headers=headers)

    assert answer.status_code == 200
    assert said in answer.text


@pytest.mark.parametrize(("action", "when", "said"), [
    ("publish", "later", "to open 1 of these 3 pages again, with its content at that time."),
    ("publish", "now", "to open 1 of these 3 pages again, as it stands in the editor now."),
    ("unpublish", "later", "no longer be able to open 2 of these 3 pages."),
])  # fmt: skip
def test_of_a_mixed_selection_the_dialog_says_for_how_many_it_is(alice: Person, action: str, when: str, said: str):
    alice.portal.change_page(PAGE, active=False, public=False)

    some = alice.fragment("POST", "/runs/preview", action=action, when=when, lids=[PAGE, OTHER, 353]).text
    only = alice.fragment("POST", "/runs/preview", action="publish", when=when, lids=[PAGE]).text

    assert said in some
    assert "of these" not in only
