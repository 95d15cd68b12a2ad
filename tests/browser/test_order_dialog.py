"""The question before an order while times are chosen in it: what it says follows, what was typed stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.browser.tab import Tab, has_run, open_dialog, press, settles, tick
from tests.clocks import TurnableClock
from tests.people import Person

pytestmark = pytest.mark.browser

PRESSED = (
    "[...document.querySelectorAll('#dialog [aria-pressed=true][data-preset]')].map((each) => each.dataset.preset)"
)
# What is drawn over the last line of the body that can be seen, and how far the body goes on below it.
SHADOW = """() => {
  const [foot, dialog] = ['.d-foot', '#dialog'].map((each) => document.querySelector(each))
  return [getComputedStyle(foot, '::before').height, dialog.scrollHeight > dialog.clientHeight]
}"""


def day(clock: TurnableClock, days: int, time: str) -> str:
    return f"{(clock() + timedelta(days=days)).date()}T{time}"


def choose(tab: Tab, field: str, value: str) -> None:
    frame = tab.frame()
    frame.fill(field, value)
    frame.dispatch_event(field, "change")


def test_the_count_follows_the_time_and_nothing_typed_is_lost(tab: Tab, alice: Person, clock: TurnableClock):
    alice.put("/preferences", {"zone": "UTC"})
    pages = [page.id for page in alice.portal.pages("PAGE") if page.active][:2]
    alice.unpublish(pages[0], at=f"{day(clock, 3, '12:00')}Z")
    frame = tab.open()
    for lid in pages:
        frame.locator(f"#p{lid}").evaluate("box => box.click()")
    open_dialog(frame, "#bulk .btn-soft", "#at")
    before = frame.inner_text("#effect")
    frame.fill("#name", "Winter")
    frame.focus("#at")

    choose(tab, "#at", day(clock, 5, "12:00"))
    follows = settles(frame, "document.querySelector('#effect').innerText.includes('open 1 of these 2 pages')")
    press(frame, "[data-preset=tonight][data-field=at]")
    returns = settles(frame, "before => document.querySelector('#effect').innerText === before", before)

    assert follows
    assert returns
    assert "these pages" in before
    assert frame.input_value("#name") == "Winter"
    assert frame.evaluate("document.activeElement.id") == "at"
    assert tab.complaints == []


def test_a_field_that_is_emptied_takes_its_words_and_its_fault_along(tab: Tab):
    frame = tab.open()
    tick(frame, 1)
    open_dialog(frame)
    frame.click("#dialog details.until summary")
    assert has_run(frame, "schedule")

    frame.fill("#until", "2020-01-01T08:00")
    frame.dispatch_event("#until", "change")
    frame.wait_for_selector("#until-wrong:not(:empty)")
    frame.fill("#until", "")
    frame.dispatch_event("#until", "change")

    assert settles(frame, "!document.querySelector('#time-note').textContent.trim()")
    assert settles(frame, "!document.querySelector('#time-note template')")
    assert frame.evaluate("document.querySelector('#until').checkValidity()")
    press(frame, "#confirm")
    frame.wait_for_selector("#run-title")


def test_a_ready_made_time_that_is_chosen_looks_so(tab: Tab, alice: Person):
    alice.put("/preferences", {"zone": "UTC"})
    frame = tab.open()
    frame.locator("#grid input[name=lids]:not(:disabled)").nth(1).evaluate("box => box.click()")
    open_dialog(frame, "#bulk .btn-soft", "#at")
    at_first = frame.evaluate(PRESSED)

    press(frame, "[data-preset=month-end][data-field=at]")
    chosen = settles(frame, f"{PRESSED}.includes('month-end')")
    choose(tab, "#at", frame.input_value("#at").replace("23:59", "23:58"))
    let_go = settles(frame, f"{PRESSED}.length === 0")

    assert "tonight" in at_first
    assert chosen
    assert let_go


def test_the_first_of_the_month_is_its_first_moment(tab: Tab, alice: Person, clock: TurnableClock):
    alice.put("/preferences", {"zone": "UTC"})
    page = next(page for page in alice.portal.pages("PAGE") if page.active)
    alice.portal.change_page(page.id, active=False, public=False)
    frame = tab.open()
    frame.locator(f"#p{page.id}").evaluate("box => box.click()")
    open_dialog(frame, "#schedule-up", "#at")

    press(frame, "[data-preset=month]")

    assert frame.input_value("#at").endswith("-01T00:00")
    assert frame.input_value("#at")[:7] > f"{clock():%Y-%m}"


def test_where_a_dialog_goes_on_below_a_shadow_says_so(tab: Tab):
    frame = tab.open()
    for row in range(6):
        frame.locator("#grid input[name=lids]:not(:disabled)").nth(row).evaluate("box => box.click()")
    open_dialog(frame, "#bulk .btn-soft", "#at")

    height, goes_on = frame.evaluate(SHADOW)

    assert goes_on
    assert height == "8px"
