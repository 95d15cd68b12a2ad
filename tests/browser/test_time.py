"""Time in the frame: a chosen time is explained where it is chosen, and what happened since is told until seen."""

from __future__ import annotations

from datetime import timedelta

import pytest

from b24app.services import Services
from b24sandbox import StandIn
from tests.browser.tab import Tab, open_dialog, press, settles, tick
from tests.clocks import BACK, FORWARD, TurnableClock
from tests.people import Person
from tests.worker import work_until_idle

pytestmark = pytest.mark.browser


def test_a_chosen_time_is_explained_and_a_skipped_one_offers_the_next(tab: Tab, alice: Person):
    alice.put("/preferences", {"zone": "Europe/Riga"})
    frame = tab.open()
    tick(frame, 1)
    open_dialog(frame, "#bulk .btn-soft", "#at")

    frame.fill("#at", f"{BACK}T03:30")
    frame.dispatch_event("#at", "change")
    assert settles(frame, "document.querySelector('#time-note').innerText.includes('twice')")
    explained = frame.inner_text("#time-note")
    frame.fill("#at", f"{FORWARD}T03:30")
    frame.dispatch_event("#at", "change")
    frame.wait_for_selector("#at-wrong [data-do=use-time]")
    frame.click("#at-wrong [data-do=use-time]")

    assert "UTC+03:00" in explained
    assert frame.input_value("#at") == f"{FORWARD}T04:30"


def test_a_zone_nobody_knows_is_asked_for_and_what_is_chosen_stays(tab: Tab, standin: StandIn):
    with standin.world.lock:
        standin.portals[0].user("editor").time_zone = "Mars/Phobos"
    frame = tab.open()
    tick(frame, 1)
    press(frame, "#bulk .btn-soft:not([hidden])")
    frame.wait_for_selector("#zone-search", state="attached")
    press(frame, "#zone-note")

    frame.fill("#zone-search", "tokyo")
    tab.page.keyboard.press("Enter")
    assert settles(frame, "document.querySelector('#zone-note').innerText.includes('Asia/Tokyo (UTC+09:00)')")
    again = tab.open()

    assert again.evaluate("document.body.dataset.zone") == "Asia/Tokyo"


def test_the_same_order_is_asked_about_before_it_is_placed_again(tab: Tab, alice: Person, clock: TurnableClock):
    page = alice.portal.page(351)
    at = f"{(clock() + timedelta(days=2)).date()}T12:00"
    alice.unpublish(page.id, at=at)
    frame = tab.open()
    frame.locator(f"#p{page.id}").evaluate("box => box.click()")
    open_dialog(frame, "#bulk .btn-soft", "#at")

    frame.fill("#at", at)
    frame.dispatch_event("#at", "change")
    frame.wait_for_selector("#once-more")
    press(frame, "#confirm")
    still_asked = frame.locator("#once-more").is_visible()
    press(frame, "#once-more")
    press(frame, "#confirm")
    frame.wait_for_selector("#run-title")

    assert still_asked
    assert len(alice.read("/runs")["runs"]) == 2


def test_what_happened_since_is_shown_at_each_open_until_dismissed(
    tab: Tab, alice: Person, services: Services, clock, standin
):
    at = (clock() + timedelta(hours=1)).isoformat(timespec="seconds")
    run = alice.unpublish(351, at=at).json
    assert run
    clock.tick(hours=3)
    standin.world.clock.advance(3 * 3600)
    work_until_idle(services)

    frame = tab.open()
    frame.wait_for_selector("#news .banner")
    told = frame.text_content("#news") or ""
    frame.click("#news summary")
    frame.click(f'#news a[href="/runs/{run["id"]}"]')
    frame.wait_for_selector("#run-title")
    frame.click("#news-seen")
    assert settles(frame, "!document.querySelector('#news .banner')")
    again = tab.open()

    assert alice.portal.page(351).title in told
    assert "2 hours after the set time" in told
    assert again.locator("#news .banner").count() == 0
    assert tab.complaints == []
