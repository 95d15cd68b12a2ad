"""A person's way through the app: steps back and forward, a selection that stays, views that follow what happens."""

from __future__ import annotations

import pytest
from playwright.sync_api import Frame

from b24app.services import Services
from b24app.web import progress
from b24sandbox import PortalHandle, StandIn
from tests.browser.accessibility import Audit, excess_width
from tests.browser.tab import UNPUBLISH, Tab, comes_true, open_dialog, press, settles, tab_to, tick
from tests.clocks import TurnableClock
from tests.people import Person, run_id_of
from tests.worker import pump, work_until_idle

pytestmark = pytest.mark.browser
OFFERED = "#history .acts button, #run .right button:not(#run-back):not(#run-csv)"


def selected(frame: Frame) -> str:
    return frame.inner_text("#bulk-count")


def shows(frame: Frame, count: int) -> bool:
    """Whether the list of pages shows so many rows."""
    return settles(frame, f"document.querySelectorAll('#grid tbody tr').length === {count}")


def test_back_and_forward_walk_the_views_and_keep_the_selection(tab: Tab, portal: PortalHandle):
    frame = tab.open()
    outside = tab.page.url
    everything = frame.locator("#grid tbody tr").count()
    tick(frame, 1, 2)
    frame.fill("#q", "sale")
    assert settles(frame, f"document.querySelectorAll('#grid tbody tr').length < {everything}")
    found = frame.locator("#grid tbody tr").count()
    assert selected(frame) == "2 pages selected"
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("[data-tab=history]")

    frame.evaluate("history.back()")
    frame.wait_for_selector("[data-tab=pages]")
    assert (frame.input_value("#q"), frame.locator("#grid tbody tr").count()) == ("sale", found)
    frame.evaluate("history.back()")
    assert shows(frame, everything)
    assert frame.input_value("#q") == ""
    assert selected(frame) == "2 pages selected"
    frame.evaluate("history.forward()")
    assert shows(frame, found)
    frame.evaluate("history.forward()")
    frame.wait_for_selector("[data-tab=history]")
    press(frame, "#tabs [data-for=pages]")
    frame.wait_for_selector("[data-tab=pages]")
    assert (frame.input_value("#q"), selected(frame)) == ("sale", "2 pages selected")

    open_dialog(frame, UNPUBLISH, "#dialog[open] #confirm")
    press(frame, "#confirm")
    frame.wait_for_selector("#run-title")
    press(frame, "#tabs [data-for=pages]")
    frame.wait_for_selector("[data-tab=pages]")
    assert frame.input_value("#q") == "sale"
    assert frame.locator("#bulk").is_hidden()
    assert tab.page.url == outside


def test_what_changes_by_itself_is_followed(
    tab: Tab, alice: Person, clock: TurnableClock, services: Services, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(progress, "STILL_SECONDS", 1)
    run = run_id_of(alice.unpublish(351, at="2030-06-01T10:00:00Z"))
    frame = tab.open()
    press(frame, "#tabs [data-for=scheduled]")
    frame.wait_for_selector(f"#entry-{run} .title")
    press(frame, f"#entry-{run} .title")
    frame.wait_for_selector("#run[data-poll] #run-cancel")

    alice.post(f"/runs/{run}/cancel")
    frame.wait_for_selector("#run:not([data-poll]) #run-title >> text=Schedule cancelled")

    moving = run_id_of(alice.unpublish(411, 412))
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector(f"#run-{moving}[data-moves]")
    work_until_idle(services)
    frame.wait_for_selector(f"#run-{moving}:not([data-moves]) >> text=2 of 2 done")


def test_a_page_that_failed_meanwhile_says_why_apart_from_its_code(
    tab: Tab, alice: Person, portal: PortalHandle, services: Services, standin: StandIn
):
    standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400)
    run = run_id_of(alice.unpublish(*portal.add_pages(35)))
    frame = tab.open()
    press(frame, "#under-way-show")
    frame.wait_for_selector(f"#run[data-of='{run}'][data-poll]")
    frame.evaluate("document.querySelector('#items').dataset.drawn = 'once'")

    pump(services, most=1)
    frame.wait_for_selector("#items li[data-state=failed]")
    row = "#items li[data-state=failed]"

    assert frame.locator("#items[data-drawn=once]").count() == 1, "the rest was not drawn anew"
    assert "ACCESS_DENIED" not in frame.inner_text(f"{row} .why")
    assert frame.inner_text(f"{row} .sub").endswith(" · ACCESS_DENIED")


def test_what_is_under_way_is_seen_from_every_view_until_it_has_ended(
    tab: Tab, alice: Person, portal: PortalHandle, services: Services
):
    run = run_id_of(alice.unpublish(*portal.add_pages(35)))
    frame = tab.open()
    frame.wait_for_selector("#under-way >> text=Unpublishing 35 pages, 0 done")

    pump(services, most=1)
    assert settles(frame, r"/, [1-9]\d? done/.test(document.querySelector('#under-way').textContent)")
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("[data-tab=history]")
    seen = frame.locator("#under-way").is_visible()
    press(frame, "#under-way-show")
    frame.wait_for_selector("#run-title >> text=Unpublishing 35 pages")
    on_its_own_page = frame.locator("#under-way").is_visible()
    press(frame, "#tabs [data-for=pages]")
    frame.wait_for_selector("[data-tab=pages]")
    audit = Audit()
    audit.check(frame, "a run is under way")
    frame.focus("#under-way-show")
    pump(services)
    frame.wait_for_selector("#news >> text=1 finished")

    assert (seen, on_its_own_page, frame.locator("#under-way").is_visible()) == (True, False, False)
    assert alice.read(f"/runs/{run}")["state"] == "succeeded"
    assert settles(frame, "document.activeElement !== document.body")
    assert audit.faults == {}


def test_an_order_of_several_pages_heals_a_dead_session_by_itself(tab: Tab, portal: PortalHandle, services: Services):
    frame = tab.open()
    tick(frame, 1, 2)
    open_dialog(frame, UNPUBLISH, "#dialog[open] #confirm")
    portal.expire_refresh("editor")
    press(frame, "#confirm")
    frame.wait_for_selector("#run-title")
    with tab.page.expect_response("**/session") as healed:
        work_until_idle(services)
    assert healed.value.status == 200
    work_until_idle(services)
    frame.wait_for_selector("#run-title >> text=All 2 pages unpublished")


def test_a_reader_is_offered_nothing_that_only_others_may_do(tab: Tab, alice: Person, services: Services):
    alice.unpublish(351, at="2030-06-01T10:00:00Z")
    done = run_id_of(alice.unpublish(411, 412))
    work_until_idle(services)
    frame = tab.open("reader")

    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector(f"#run-{done}")
    in_history = frame.locator(OFFERED).count()
    press(frame, f"#run-{done} .title")
    frame.wait_for_selector("#run-title")

    assert (in_history, frame.locator(OFFERED).count()) == (0, 0)


def test_an_answer_of_a_server_in_between_is_told_as_what_it_is(tab: Tab):
    frame = tab.open()
    tab.page.route("**/runs", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("#notices .banner >> text=could not be reached")
    tab.page.unroute("**/runs")
    tab.page.route("**/runs", lambda route: route.fulfill(status=414, body="<h1>URI too long</h1>"))
    press(frame, "#notices [data-do=repeat]")

    frame.wait_for_selector("#notices .banner >> text=too long")
    assert frame.locator("#notices .banner").count() == 1


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_preferences_apply_at_once(tab: Tab, alice: Person, width: int, theme: str):
    tab.page.set_viewport_size({"width": width, "height": 760})
    tab.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    alice.unpublish(351, at="2030-06-01T10:00:00Z")
    frame = tab.open()
    press(frame, "#tabs [data-for=scheduled]")
    frame.wait_for_selector("#entries time")
    open_dialog(frame, "#preferences-open", "#dialog[open] #own-zone-search")
    assert "Language: English" in frame.inner_text("#dialog")
    beside = frame.evaluate(
        "[...document.querySelectorAll('.choices label')].map((label) => [...label.children]"
        ".map((part) => part.getBoundingClientRect()).map(({ top, height }) => top + height / 2))"
    )
    assert max(abs(radio - words) for radio, words in beside) <= 1

    with tab.page.expect_response("**/preferences") as kept:
        frame.check("#dialog [name=theme][value=system]")
    assert kept.value.status == 204
    assert settles(frame, "document.documentElement.dataset.theme === 'system'")
    audit = Audit()
    audit.check(frame, "preferences")
    assert audit.faults == {}
    with tab.page.expect_response("**/preferences"):
        frame.fill("#own-zone-search", "tokyo")
        tab.page.keyboard.press("Enter")
    tab.page.keyboard.press("Escape")

    assert settles(frame, "document.querySelector('#entries time').textContent.includes('7:00')")
    assert tab.open().evaluate("document.documentElement.dataset.theme") == "system"


def test_rows_the_bar_and_the_dialog_are_near_by_keyboard_at_double_size(tab: Tab):
    tab.page.set_viewport_size({"width": 640, "height": 360})
    keys = tab.page.keyboard
    frame = tab.open()
    tab_to(frame, "#grid tr:nth-child(2) input")
    keys.press("Space")
    keys.press("ArrowDown")
    keys.press("Space")
    assert selected(frame) == "2 pages selected"
    keys.press("ArrowUp")
    assert settles(frame, "document.activeElement.matches('#grid tr:nth-child(2) input')")

    keys.press("F6")
    assert settles(frame, "document.activeElement.closest('#bulk') !== null")
    assert excess_width(frame) == 0
    keys.press("Enter")
    frame.wait_for_selector("#dialog[open] #confirm")
    for _ in range(12):
        keys.press("Tab")
        assert frame.evaluate("document.activeElement.closest('dialog') !== null")
    seen = frame.evaluate(
        "() => { const { top, bottom } = document.querySelector('#confirm').getBoundingClientRect(); "
        "return top >= 0 && bottom <= innerHeight }"
    )
    keys.press("Escape")
    assert settles(frame, "!document.querySelector('dialog').open")
    keys.press("F6")
    keys.press("Escape")

    assert seen
    assert settles(frame, "document.querySelector('#bulk').hidden")


def run_shows(frame: Frame, words: str) -> None:
    frame.wait_for_selector(f"#run-title >> text={words}")


def test_a_run_leads_back_to_where_it_was_opened(tab: Tab, alice: Person, services: Services):
    run = run_id_of(alice.unpublish(351, 352))
    work_until_idle(services)
    frame = tab.open()
    press(frame, "#tabs [data-for=history]")
    press(frame, f"#run-{run} .title")
    run_shows(frame, "All 2 pages unpublished")
    open_dialog(frame, "#run-undo")
    press(frame, "#sure")
    run_shows(frame, "Publishing")

    press(frame, "#run .half a")
    run_shows(frame, "All 2 pages unpublished")
    work_until_idle(services)
    press(frame, "#run-back")
    frame.wait_for_selector("#run-badge >> text=Done")
    run_shows(frame, "All 2 pages published")
    press(frame, "#run-back")
    run_shows(frame, "All 2 pages unpublished")
    press(frame, "#run-back")
    frame.wait_for_selector("#history")
    frame.evaluate("history.back()")
    frame.wait_for_selector("#grid")


def test_who_comes_back_to_the_list_finds_the_row_they_left(tab: Tab):
    frame = tab.open(ready="#grid")
    last = frame.locator("#grid tbody tr").last
    opened, acted = (last.locator(part).get_attribute("id") for part in ("[id^=open-]", "[id^=act-]"))

    def is_in_view(place: str | None) -> bool:
        box, window = frame.locator(f"#{place}").bounding_box(), frame.page.viewport_size
        return bool(box and window and 0 < box["y"] < window["height"] - box["height"])

    def is_found(place: str | None) -> bool:
        assert settles(frame, f"document.activeElement.id === '{place}'")
        return comes_true(frame.page, lambda: is_in_view(place))

    press(frame, f"#{opened}")
    frame.wait_for_selector("[data-lid]")
    frame.page.evaluate("scrollTo(0, 0)")
    frame.evaluate("history.back()")
    was_opened_there = is_found(opened)
    open_dialog(frame, f"#{acted}")
    press(frame, "#confirm")
    frame.wait_for_selector("#run-back")
    frame.page.evaluate("scrollTo(0, 0)")
    press(frame, "#run-back")

    assert was_opened_there
    assert is_found(acted)


def test_screens_of_a_run_are_left_all_at_once(tab: Tab, alice: Person, services: Services, standin: StandIn):
    standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400)
    alice.unpublish(351, 352)
    work_until_idle(services)
    frame = tab.open(ready="#grid")
    press(frame, "#open-351")
    frame.wait_for_selector("[data-lid]")
    press(frame, ".runs .title")
    press(frame, "#items-failed")
    frame.wait_for_selector("#items-failed[aria-pressed=true]")

    press(frame, "#run-back")

    frame.wait_for_selector("[data-lid='351']")


def test_a_run_the_app_was_opened_with_leads_to_the_pages(tab: Tab, alice: Person):
    run = run_id_of(alice.unpublish(351))
    frame = tab.open(query=f"&options=%7B%22run%22%3A%22{run}%22%7D", ready="#run")

    press(frame, "#run-back")

    frame.wait_for_selector("#grid tbody tr")
