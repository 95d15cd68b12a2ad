"""Another name, another reason, pages more or less, of what is scheduled: both halves of a pair alike."""

from datetime import timedelta
from typing import Any

import pytest

from b24app.runs import orders
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.conftest import Turn, Work
from tests.people import Person

PAGE, OTHER, THIRD, IN_SHOP = 351, 352, 353, 411  # the last in another site


@pytest.fixture
def pair(alice: Person, clock: TurnableClock) -> dict[str, Any]:
    """Two pages down from in an hour until in three."""
    at, until = ((clock() + timedelta(hours=hours)).isoformat(timespec="seconds") for hours in (1, 3))
    run = alice.unpublish(PAGE, OTHER, at=at, until=until, name="Winter", reason="Stocktaking").json
    assert run
    return run


def halves(person: Person, pair: dict[str, Any]) -> list[dict[str, Any]]:
    return [person.read(f"/runs/{run}") for run in (pair["id"], pair["returns_run"])]


def lids(run: dict[str, Any]) -> list[int]:
    return [item["lid"] for item in run["items"]]


def test_a_name_and_a_reason_are_changed_in_both_halves(alice: Person, pair: dict[str, Any]):
    assert [half["name"] for half in halves(alice, pair)] == ["Winter", "Winter"]
    assert "change" in pair["can"]

    by_return = alice.post(f"/runs/{pair['returns_run']}/change", {"name": "Christmas"})
    cleared = alice.post(f"/runs/{pair['id']}/change", {"reason": ""})

    assert (by_return.status_code, cleared.status_code) == (200, 200)
    for half in halves(alice, pair):
        assert (half["name"], half["reason"]) == ("Christmas", None)


def test_pages_come_and_go_and_the_return_brings_back_what_was_taken(
    alice: Person, pair: dict[str, Any], turn: Turn, work: Work
):
    answer = alice.post(f"/runs/{pair['id']}/change", {"add": [THIRD, PAGE], "remove": [OTHER]})

    assert answer.status_code == 200, answer.text
    assert [lids(half) for half in halves(alice, pair)] == [[PAGE, THIRD], [PAGE, THIRD]]
    assert answer.json["items"][1]["title"] == alice.portal.page(THIRD).title  # type: ignore[index]
    turn(hours=1, seconds=1)
    work()
    assert [alice.portal.page(lid).active for lid in (PAGE, OTHER, THIRD)] == [False, True, False]
    turn(hours=2)
    work()
    assert [alice.portal.page(lid).active for lid in (PAGE, OTHER, THIRD)] == [True, True, True]


def test_once_it_has_begun_only_its_words_can_be_changed(alice: Person, pair: dict[str, Any], turn: Turn, work: Work):
    turn(hours=1, seconds=1)
    work()

    pages = alice.post(f"/runs/{pair['returns_run']}/change", {"remove": [PAGE]})
    words = alice.post(f"/runs/{pair['returns_run']}/change", {"name": "Sale"})

    assert (pages.status_code, words.status_code) == (409, 200)
    assert [half["name"] for half in halves(alice, pair)] == ["Winter", "Sale"]  # what is done keeps its name
    assert alice.post(f"/runs/{pair['id']}/change", {"name": "Sale"}).status_code == 409


@pytest.mark.parametrize(
    "change",
    [{}, {"remove": [PAGE, OTHER]}, {"remove": [PAGE, OTHER, THIRD], "add": [THIRD]}, {"name": "x" * 121},
     {"add": ["1.5"]}, {"reason": "\0"}],
)  # fmt: skip
def test_a_change_that_leaves_nothing_or_cannot_be_read_is_refused(
    alice: Person, pair: dict[str, Any], change: dict[str, Any]
):
    answer = alice.post(f"/runs/{pair['id']}/change", change)

    assert answer.status_code == 422
    assert [lids(half) for half in halves(alice, pair)] == [[PAGE, OTHER], [PAGE, OTHER]]


def test_a_schedule_takes_no_more_pages_than_an_order(alice: Person, clock: TurnableClock):
    many = alice.portal.add_pages(orders.MOST_PAGES)
    at = (clock() + timedelta(hours=1)).isoformat(timespec="seconds")
    run = alice.unpublish(*many, at=at).json
    assert run

    assert alice.post(f"/runs/{run['id']}/change", {"add": [PAGE]}).status_code == 422
    assert alice.post(f"/runs/{run['id']}/change", {"add": [PAGE], "remove": many[:1]}).status_code == 200


def test_nobody_lets_others_rights_take_down_what_they_may_not(
    alice: Person, bob: Person, standin: StandIn, pair: dict[str, Any]
):
    alice.portal.rights("reader", alice.portal.page(PAGE).site_id, ("read", "public"))
    alice.portal.rights("reader", alice.portal.page(IN_SHOP).site_id, ("read",))
    bob.opened()

    foreign = bob.post(f"/runs/{pair['id']}/change", {"add": [IN_SHOP]})
    unknown = bob.post(f"/runs/{pair['id']}/change", {"add": [999_999]})
    own = bob.post(f"/runs/{pair['id']}/change", {"add": [THIRD]})

    assert (foreign.status_code, unknown.status_code, own.status_code) == (403, 403, 200)
    assert lids(alice.read(f"/runs/{pair['id']}")) == [PAGE, OTHER, THIRD]


def test_a_return_that_was_cancelled_alone_is_not_changed_any_more(alice: Person, pair: dict[str, Any]):
    alice.post(f"/runs/{pair['returns_run']}/cancel")

    answer = alice.post(f"/runs/{pair['id']}/change", {"add": [THIRD], "remove": [OTHER], "name": "Sale"})

    assert answer.status_code == 200, answer.text
    first, back = halves(alice, pair)
    assert (lids(first), lids(back)) == ([PAGE, THIRD], [PAGE, OTHER])
    assert (first["counts"]["total"], back["counts"]["cancelled"], back["counts"]["pending"]) == (2, 2, 0)
    assert (first["name"], back["name"]) == ("Sale", "Winter")


def test_a_page_added_by_a_colleague_has_no_title_for_who_may_not_read_it(
    alice: Person, bob: Person, pair: dict[str, Any]
):
    page, shop = alice.portal.page(THIRD), alice.portal.page(IN_SHOP)
    alice.portal.rights("reader", page.site_id, ("read", "public"))
    alice.portal.rights("reader", shop.site_id, ("read", "public"))
    bob.opened()

    answer = bob.post(f"/runs/{pair['id']}/change", {"add": [THIRD, IN_SHOP]})

    assert answer.status_code == 200, answer.text
    for half in halves(alice, pair):
        added = {item["lid"]: item for item in half["items"]}
        assert added[THIRD]["title"] == page.title
        assert (added[IN_SHOP]["site"], added[IN_SHOP]["url"]) == ("", None)
        assert shop.title not in added[IN_SHOP]["title"]


def test_pages_may_be_exchanged_again_and_again(alice: Person, clock: TurnableClock):
    many = alice.portal.add_pages(6)
    at = (clock() + timedelta(hours=1)).isoformat(timespec="seconds")
    run = alice.unpublish(*many[:3], at=at).json
    assert run
    for add, remove in ((many[3:], many[:3]), (many[:3], many[3:])):
        assert alice.post(f"/runs/{run['id']}/change", {"add": add, "remove": remove}).status_code == 200

    first = alice.read(f"/runs/{run['id']}?limit=1")
    rest = alice.read(f"/runs/{run['id']}?after={first['next']}")

    assert lids(first) + lids(rest) == many[:3]
    assert alice.read(f"/runs/{run['id']}?after=20000")["items"] == []  # where many exchanges may have led
