"""Somebody hears from the bell that their schedule is stuck, looks at it, and a colleague takes it over."""

from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Frame, expect

from b24app.runs.occasions import WATCHED
from b24app.services import Services
from b24sandbox import StandIn
from tests.browser.accessibility import faults_of
from tests.browser.tab import Tab
from tests.clocks import TurnableClock
from tests.conftest import Turn
from tests.people import Person
from tests.worker import pump

pytestmark = pytest.mark.browser
PAGE = 351


@pytest.fixture
def granted() -> list[str]:
    return ["landing", "im"]


def told(services: Services, turn: Turn, person: Person) -> None:
    """The worker goes on, and people are told what they did not watch."""
    pump(services)
    turn(seconds=WATCHED.total_seconds() + 1)
    services.notices.send(person.portal.member_id)


def follow_bell(tab: Tab, person: Person, words: str) -> Frame:
    """Open the portal, look at the bell and click the newest notice; the app's frame in its slider."""
    tab.page.goto(f"{person.portal.url}/section/feed?user={person.user_id}")
    expect(tab.page.locator("#bell-count")).to_have_text("1")
    tab.page.locator("#bell-button").click()
    notice = tab.page.locator("#bell-list li").first
    expect(notice).to_contain_text(words)
    notice.get_by_role("link").click()
    frame = tab.frame()
    frame.wait_for_selector("#run [data-heading]")
    return frame


def test_the_asker_lands_on_the_stuck_run_and_a_colleague_takes_it_over(
    tab: Tab, ada: Person, alice: Person, app: Flask, services: Services, standin: StandIn, clock: TurnableClock,
    turn: Turn,
):  # fmt: skip
    at = (clock() + timedelta(minutes=20)).isoformat(timespec="seconds")
    assert alice.unpublish(PAGE, at=at).status_code == 201
    standin.fault(
        0, "landing.landing.unpublic", kind="error", code="METHOD_CONFIRM_DENIED", status=403, times=-1,
        user=alice.user_id,
    )  # fmt: skip
    turn(minutes=20, seconds=1)
    told(services, turn, alice)

    mine = follow_bell(tab, alice, "has not been unpublished yet")
    pump(services)
    expect(mine.locator("#notices-wish")).to_have_value("problems")
    assert faults_of(mine) == []
    with tab.page.expect_response("**/preferences") as answered:
        mine.locator("#notices-wish").select_option("all")
    assert answered.value.status == 204

    theirs = follow_bell(tab, ada, "You can take it over")
    theirs.get_by_role("button", name="Take over").click()
    expect(theirs.locator("#run")).to_contain_text("Taken over by")
    pump(services)
    expect(theirs.locator("#run-title")).to_contain_text("is unpublished")

    assert alice.portal.page(PAGE).modified_by == ada.user_id
    told(services, turn, alice)
    tab.page.goto(f"{alice.portal.url}/section/feed?user={alice.user_id}")
    tab.page.locator("#bell-button").click()
    expect(tab.page.locator("#bell-list li")).to_have_count(1)
    expect(tab.page.locator("#bell-list li")).to_contain_text("was unpublished as scheduled")
