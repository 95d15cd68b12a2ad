"""Time in the frame: a chosen time is explained where it is chosen, and what happened since is told until seen."""

from __future__ import annotations

from datetime import timedelta

import pytest

from b24app.services import Services
from b24sandbox import StandIn
from tests.browser.tab import UNPUBLISH, Tab, open_dialog, press, settles, tick
from tests.clocks import BACK, FORWARD, TurnableClock
from tests.people import Person
from tests.worker import work_until_idle

pytestmark = pytest.mark.browser

TRANSFERRED = """() => performance.getEntriesByType('resource')
  .filter(({ name }) => name.includes('/zones?')).map(({ transferSize }) => transferSize)"""


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


def test_a_zone_that_was_changed_holds_everywhere_at_once(tab: Tab, alice: Person):
    alice.put("/preferences", {"zone": "Europe/Riga"})
    frame = tab.open()
    open_dialog(frame, "#preferences-open", "#own-zone-search")
    frame.fill("#own-zone-search", "tokyo")
    with tab.page.expect_response("**/preferences"):
        tab.page.keyboard.press("Enter")
    frame.evaluate("document.querySelector('#grid').dataset.before = ''")
    press(frame, "#dialog [data-do=close-dialog]")
    frame.wait_for_selector("#grid:not([data-before])")  # its times are shown anew

    tick(frame, 1)
    open_dialog(frame, "#bulk .btn-soft:not([hidden])", "#at")
    in_dialog = frame.inner_text("#zone-note")
    press(frame, "#zone-note")
    frame.fill("#zone-search", "riga")
    tab.page.keyboard.press("Enter")
    assert settles(frame, "document.querySelector('#zone-note').innerText.includes('Europe/Riga')")
    with tab.page.expect_request(lambda asked: "/pages" in asked.url and asked.method == "GET"):
        press(frame, "#dialog [data-do=close-dialog]")
    open_dialog(frame, "#bulk .btn-soft:not([hidden])", "#at")

    assert "Asia/Tokyo" in in_dialog
    assert "Europe/Riga" in frame.inner_text("#zone-note")


def test_a_zone_chosen_here_and_there_is_always_shown(tab: Tab, alice: Person):
    alice.put("/preferences", {"zone": "Europe/Riga"})
    frame = tab.open()
    tick(frame, 1)

    def is_shown_anew_after(button: str, field: str, zone: str) -> bool:
        open_dialog(frame, button, "#dialog[open] .d-body")
        if field == "#zone-search":
            press(frame, "#zone-note")
        frame.wait_for_selector(field)
        frame.fill(field, zone)
        with tab.page.expect_response("**/preferences"):
            tab.page.keyboard.press("Enter")
        frame.evaluate("document.querySelector('#grid').dataset.before = ''")
        press(frame, "#dialog [data-do=close-dialog]")
        return settles(frame, "!document.querySelector('#grid').hasAttribute('data-before')")

    assert is_shown_anew_after("#preferences-open", "#own-zone-search", "tokyo")
    assert is_shown_anew_after("#bulk .btn-soft:not([hidden])", "#zone-search", "riga")
    assert is_shown_anew_after("#preferences-open", "#own-zone-search", "tokyo")


def test_zones_are_asked_for_once_and_what_was_typed_before_counts(tab: Tab, alice: Person):
    alice.put("/preferences", {"zone": "Europe/Riga"})
    asked = tab.hold("**/zones?*")
    frame = tab.open()
    open_dialog(frame, "#preferences-open", "#own-zone-search")
    assert frame.locator("#own-zone option").count() == 2

    frame.fill("#own-zone-search", "tokyo")
    tab.page.keyboard.press("Enter")
    shown_before = frame.locator("#dialog .options").is_visible()
    with tab.page.expect_response("**/preferences") as kept:
        tab.first(asked).continue_()
    frame.fill("#own-zone-search", "ushuaia")
    frame.wait_for_selector("#dialog .options >> text=America/Argentina/Ushuaia")
    tab.page.keyboard.press("Escape")

    assert not shown_before
    assert "zone=Asia%2FTokyo" in (kept.value.request.post_data or "")
    assert frame.input_value("#own-zone-search") == "Asia/Tokyo"
    assert frame.locator("#dialog[open]").count() == 1
    assert len(asked) == 1
    assert tab.complaints == []


def test_the_browser_keeps_the_zones_for_every_dialog(tab: Tab, alice: Person):
    alice.put("/preferences", {"zone": "Europe/Riga"})
    frame = tab.open()
    tick(frame, 1)

    sizes = []
    for button, field in (("#preferences-open", "#own-zone-search"), (UNPUBLISH, "#zone-search")):
        press(frame, button)
        frame.wait_for_selector(field, state="attached")
        if button == UNPUBLISH:
            press(frame, ".until > summary")
            press(frame, "#zone-note")
        frame.click(field)
        frame.wait_for_selector("#dialog .options >> text=Africa/Abidjan")
        sizes.append(frame.evaluate(TRANSFERRED))
        tab.page.keyboard.press("Escape")
        tab.page.keyboard.press("Escape")

    assert len(sizes[1]) == 2, "both dialogs ask the browser"
    assert [size > 0 for size in sizes[1]] == [True, False]


@pytest.mark.parametrize("fault", ["abort", "refuse"])
def test_a_zone_can_be_chosen_though_the_list_cannot_be_had(tab: Tab, alice: Person, fault: str):
    alice.put("/preferences", {"zone": "Europe/Riga"})
    frame = tab.open()
    tab.page.route("**/zones?*", lambda route: route.abort() if fault == "abort" else route.fulfill(status=503))
    open_dialog(frame, "#preferences-open", "#own-zone-search")

    frame.fill("#own-zone-search", "tokyo")
    frame.wait_for_selector("#dialog .options >> text=Asia/Tokyo")
    with tab.page.expect_response("**/preferences"):
        tab.page.keyboard.press("Enter")

    assert 'data-zone="Asia/Tokyo"' in alice.open().text


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
