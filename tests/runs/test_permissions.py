"""The contract's table "who may": each verb by each kind of person, on a run over two sites that Alice ordered."""

from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import update

from b24app.domain import RunState
from b24app.services import Services
from b24app.store.models import RunItem
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.conftest import Turn, Work
from tests.people import Person

ON_MAIN, IN_SHOP = 351, 411  # pages of two sites
LATER = "2030-06-01T10:00:00Z"

PEOPLE = ("asker", "administrator", "publisher", "publisher_of_one", "reader", "blind")
RIGHTS: dict[str, dict[int, tuple[str, ...]]] = {
    "publisher": {3: ("read", "public"), 5: ("read", "public")},
    "publisher_of_one": {3: ("read", "public"), 5: ("read",)},
    "reader": {3: ("read",), 5: ("read",)},
    "blind": {3: (), 5: ()},
}
YES, NO, NOT_NOW = 200, 403, 409
TABLE = {
    "cancel": {"asker": YES, "administrator": YES, "publisher": YES, "publisher_of_one": NO, "reader": NO, "blind": NO},
    "change": {"asker": YES, "administrator": YES, "publisher": YES, "publisher_of_one": NO, "reader": NO, "blind": NO},
    "move": {"asker": YES, "administrator": YES, "publisher": YES, "publisher_of_one": NO, "reader": NO, "blind": NO},
    # the asker has nothing to take over: what waits for them goes on when they open the app
    "takeover": {
        "asker": NOT_NOW, "administrator": YES, "publisher": YES, "publisher_of_one": NO, "reader": NO, "blind": NO,
    },
}  # fmt: skip
BODIES = {"move": {"at": "2030-07-01T10:00:00Z"}, "change": {"name": "Sale"}}
CASES = [(verb, who, status) for verb, row in TABLE.items() for who, status in row.items()]


def person(who: str, app: Flask, standin: StandIn, alice: Person) -> Person:
    """Somebody of Alice's portal with the rights their kind has, with the app open."""
    if who == "asker":
        return alice
    if who == "administrator":
        return Person(app, standin.portals[0], "admin").opened()
    for site, codes in RIGHTS[who].items():
        alice.portal.rights("reader", site, codes)
    return Person(app, standin.portals[0], "reader").opened()


def ordered(alice: Person, **more: str) -> str:
    answer = alice.unpublish(ON_MAIN, IN_SHOP, **more)
    assert answer.status_code == 201
    assert answer.json
    return str(answer.json["id"])


def state(alice: Person, run: str) -> str:
    answer = alice.get(f"/runs/{run}")
    assert answer.json
    return str(answer.json["state"])


@pytest.mark.parametrize(("verb", "who", "status"), CASES)
def test_who_may_steer(
    alice: Person, app: Flask, standin: StandIn, work: Work, verb: str, who: str, status: int
):  # fmt: skip
    run = ordered(alice) if verb == "takeover" else ordered(alice, at=LATER)
    if verb == "takeover":
        standin.fault(0, method="batch", kind="error", code="insufficient_scope", status=401, times=-1)
        work()
        assert state(alice, run) == RunState.WAITING
        standin.clear_faults()
    asker = person(who, app, standin, alice)

    offered = asker.read(f"/runs/{run}")["can"]
    listed = next(row["can"] for row in asker.read("/runs")["runs"] if row["id"] == run)

    answer = asker.post(f"/runs/{run}/{verb}", BODIES.get(verb))

    assert answer.status_code == status, answer.text
    assert (verb in offered) == (verb in listed) == (status == YES)
    if status == NO:
        assert answer.json
        assert answer.json["code"] == "not_allowed"
        assert state(alice, run) == (RunState.WAITING if verb == "takeover" else RunState.SCHEDULED)


@pytest.mark.parametrize(("who", "status"), [("publisher", NO), ("administrator", YES)])
def test_only_an_administrator_takes_over_a_page_of_an_unknown_site(
    alice: Person, app: Flask, standin: StandIn, services: Services, work: Work, who: str, status: int
):
    run = ordered(alice)
    standin.fault(0, method="batch", kind="error", code="insufficient_scope", status=401, times=-1)
    work()
    standin.clear_faults()
    with services.store.begin() as db:
        unread = (RunItem.run_id == UUID(run), RunItem.lid == IN_SHOP)
        db.execute(update(RunItem).where(*unread).values(site_id=None))

    answer = person(who, app, standin, alice).post(f"/runs/{run}/takeover")

    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("who", PEOPLE)
def test_everybody_of_the_portal_sees_the_run_and_items_of_sites_they_read(
    alice: Person, app: Flask, standin: StandIn, work: Work, who: str
):
    run = ordered(alice)
    work()
    asker = person(who, app, standin, alice)

    listed, seen = asker.get("/runs").json, asker.get(f"/runs/{run}").json
    of_page = asker.get(f"/runs?lid={ON_MAIN}").json
    as_file = asker.get(f"/runs/{run}.csv").text

    assert listed
    assert of_page
    assert seen
    assert [each["id"] for each in listed["runs"]] == [run]
    assert [each["id"] for each in of_page["runs"]] == ([] if who == "blind" else [run])
    shown = [] if who == "blind" else [ON_MAIN, IN_SHOP]
    assert [item["lid"] for item in seen["items"]] == shown
    assert (seen["hidden"], seen["counts"]["total"]) == (2 - len(shown), 2)
    assert as_file.count("\n") == 1 + len(shown)


@pytest.mark.parametrize("who", ["asker", "administrator", "publisher", "publisher_of_one"])
def test_who_may_publish_one_page_may_undo_and_bitrix24_decides_on_each(
    alice: Person, app: Flask, standin: StandIn, work: Work, who: str
):
    run = ordered(alice)
    work()
    asker = person(who, app, standin, alice)
    assert "undo" in asker.read(f"/runs/{run}")["can"]

    answer = asker.post(f"/runs/{run}/undo")
    work()

    assert answer.status_code == 201
    assert answer.json
    assert answer.json["acting_as"]["user_id"] == asker.user_id
    may = [ON_MAIN] if who == "publisher_of_one" else [ON_MAIN, IN_SHOP]
    assert [lid for lid in (ON_MAIN, IN_SHOP) if standin.portals[0].page(lid).active] == may


@pytest.mark.parametrize("verb", ["undo", "retry"])
@pytest.mark.parametrize("who", ["reader", "blind"])
def test_who_may_publish_nowhere_in_a_run_neither_undoes_nor_retries_it(
    alice: Person, app: Flask, standin: StandIn, work: Work, who: str, verb: str
):
    alice.portal.rights("editor", 5, ["read"])
    run = ordered(alice)
    work()
    asker = person(who, app, standin, alice)
    assert asker.read(f"/runs/{run}")["can"] == asker.read("/runs")["runs"][0]["can"] == []

    answer = asker.post(f"/runs/{run}/{verb}")
    work()

    assert answer.status_code == NO
    assert answer.json
    assert answer.json["code"] == "not_allowed"
    assert [standin.portals[0].page(lid).active for lid in (ON_MAIN, IN_SHOP)] == [False, True]


@pytest.mark.parametrize("who", ["asker", "publisher", "publisher_of_one"])
def test_anybody_may_retry_what_failed_with_rights_of_their_own(
    alice: Person, app: Flask, standin: StandIn, work: Work, who: str
):
    alice.portal.rights("editor", 5, ["read"])
    run = ordered(alice)
    work()
    assert state(alice, run) == RunState.PARTIAL
    asker = person(who, app, standin, alice)

    answer = asker.post(f"/runs/{run}/retry")
    work()

    assert answer.status_code == 201
    assert answer.json
    assert answer.json["retries"] == run
    assert standin.portals[0].page(IN_SHOP).active is (who != "publisher")


@pytest.mark.parametrize("verb", ["cancel", "change", "move", "takeover"])
def test_what_has_ended_cannot_be_steered_any_more(alice: Person, work: Work, verb: str):
    run = ordered(alice)
    work()

    answer = alice.post(f"/runs/{run}/{verb}", BODIES.get(verb))

    assert answer.status_code == NOT_NOW
    assert answer.json
    assert answer.json["code"] == "not_possible_now"


def test_an_undo_is_possible_once(alice: Person, work: Work):
    run = ordered(alice)
    work()

    first, second = alice.post(f"/runs/{run}/undo"), alice.post(f"/runs/{run}/undo")

    assert (first.status_code, second.status_code) == (201, NOT_NOW)


def test_nothing_goes_on_with_the_rights_of_another_who_opens_the_app(
    alice: Person, app: Flask, standin: StandIn, work: Work
):
    run = ordered(alice)
    alice.portal.change_user("editor", active=False)
    work()
    asked = standin.portals[0].asked("landing.landing.unpublic")

    person("administrator", app, standin, alice)
    work()

    assert standin.portals[0].asked("landing.landing.unpublic") == asked
    assert standin.portals[0].page(ON_MAIN).active
    waits = Person(app, standin.portals[0], "admin").opened().get(f"/runs/{run}").json
    assert waits
    assert waits["state"] == RunState.WAITING


def test_a_right_taken_away_before_the_time_fails_the_page_with_the_reason(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work
):
    run = ordered(alice, at=(clock() + timedelta(days=1)).isoformat(timespec="seconds"))
    alice.portal.rights("editor", 5, ["read"])

    turn(days=1, minutes=1)
    work()

    done = alice.opened().get(f"/runs/{run}").json
    assert done
    assert done["state"] == RunState.PARTIAL
    assert [(item["lid"], item["state"], item["code"]) for item in done["items"]] == [
        (ON_MAIN, "succeeded", None),
        (IN_SHOP, "failed", "ACCESS_DENIED"),
    ]
    assert alice.portal.page(IN_SHOP).active


def test_an_undo_by_a_colleague_shows_no_more_than_the_run_did(alice: Person, bob: Person, work: Work):
    """The new run is the colleague's own, and still names no page of a site they cannot read."""
    run = ordered(alice)
    work()
    title = alice.portal.page(ON_MAIN).title
    alice.portal.rights(bob.user_id, 3, [])
    alice.portal.rights(bob.user_id, 5, ["read", "public"])

    again = bob.post(f"/runs/{run}/undo")

    assert again.status_code == 201
    assert again.json
    assert title not in again.text
