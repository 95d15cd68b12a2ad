"""Scheduling and seeing what comes: the dialog with two ends, the agenda, and what is dragged in the calendar."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from playwright.sync_api import Browser, Frame

from b24sandbox import StandIn
from tests.browser.accessibility import Audit, excess_width
from tests.browser.tab import UNPUBLISH, Tab, has_run, open_dialog, press, settles, tick
from tests.people import Person, body_of, run_id_of

pytestmark = pytest.mark.browser
PAGE, OTHER, IN_SHOP = 351, 352, 411
SCHEDULED, HISTORY = "#tabs a[data-for=scheduled]", "#tabs a[data-for=history]"
DOWN_LATER = "#bulk .btn-soft:not([hidden])"
MARKED = "String([...document.querySelectorAll('.cal-day.target')].map(({ dataset }) => dataset.day))"
COVERED = """(() => {
  const [found, foot] = ['#found', '.d-foot'].map((part) => document.querySelector(part).getBoundingClientRect())
  return found.bottom > foot.top
})()"""

TEXT_LEFT = """place => {
  const words = document.createRange()
  words.selectNodeContents(document.querySelector(place))
  return Math.round(words.getBoundingClientRect().left)
}"""


@cache
def monday() -> date:
    """The first Monday of the next month, all through a test: its whole weeks are still to come."""
    today = datetime.now(UTC).date()
    first = date(today.year + today.month // 12, today.month % 12 + 1, 1)
    return first + timedelta(days=-first.weekday() % 7)


def day(number: int) -> date:
    """Days after that Monday. From 7 to 12, all lie in one week, whichever day it begins on: no bar is cut in two."""
    return monday() + timedelta(days=number)


@pytest.fixture(autouse=True)
def month() -> None:
    monday.cache_clear()


@pytest.fixture
def campaign(alice: Person) -> list[dict[str, Any]]:
    """Two schedules of one campaign and one of none, all in the next month."""
    alice.put("/preferences", {"zone": "UTC"})
    orders = [
        (PAGE, {"at": f"{day(8)}T18:00Z", "until": f"{day(10)}T08:00Z", "name": "Christmas"}),
        (OTHER, {"at": f"{day(9)}T12:00Z", "name": "Christmas"}),
        (IN_SHOP, {"at": f"{day(9)}T12:00Z", "reason": "Stocktaking"}),
    ]
    return [body_of(alice.unpublish(lid, **more)) for lid, more in orders]


def open_scheduled(tab: Tab) -> Frame:
    frame = tab.open()
    press(frame, SCHEDULED)
    frame.wait_for_selector("#entries")
    assert has_run(frame, "calendar")
    return frame


def open_month(frame: Frame) -> None:
    press(frame, "#view-month")
    frame.wait_for_selector(".cal.month")
    if not frame.locator(f"[data-day='{day(14)}']").count():  # the month has not begun meanwhile
        press(frame, "#cal-after")
    frame.wait_for_selector(f"[data-day='{day(14)}']")


def open_week(frame: Frame) -> None:
    """The week of most of the campaign."""
    open_month(frame)
    press(frame, "#view-week")
    frame.wait_for_selector(".cal.week")
    for _ in range(6):
        if frame.locator(f"[data-day='{day(9)}']").count():
            return
        shown = frame.inner_text("#cal-title")
        press(frame, "#cal-after")
        assert settles(frame, "shown => document.querySelector('#cal-title').innerText !== shown", shown)
    raise AssertionError("no week has that day")


def drag(frame: Frame, handle: str, to: date, held_at: date | None = None) -> None:
    """Take a bar or an end of it to a day, as a hand does; a bar where it lies over the day `held_at`."""
    hold(frame, handle, to, held_at)
    frame.page.mouse.up()


def hold(frame: Frame, handle: str, to: date, held_at: date | None = None) -> None:
    """As `drag`, without letting go."""
    frame.locator(handle).scroll_into_view_if_needed()
    day_at = frame.locator(f"[data-day='{held_at}']").bounding_box() if held_at else None
    begin, end = frame.locator(handle).bounding_box(), frame.locator(f"[data-day='{to}']").bounding_box()
    assert begin is not None
    assert end is not None
    across = day_at or begin
    mouse = frame.page.mouse
    mouse.move(across["x"] + across["width"] / 2, begin["y"] + begin["height"] / 2)
    mouse.down()
    mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=5)


def test_an_end_is_dragged_to_another_day_and_put_back(tab: Tab, alice: Person, campaign: list[dict[str, Any]]):
    frame = open_scheduled(tab)
    open_month(frame)
    run = campaign[0]["id"]

    drag(frame, f"[data-run='{run}'] [data-end=until]", day(12))
    frame.wait_for_selector(".said >> text=“Christmas” is rescheduled.")
    moved = alice.read(f"/runs/{run}")
    drag(frame, f"[data-run='{run}'] [data-end=at]", day(13))  # behind its end: nothing happens
    frame.click("#undo-move")
    frame.wait_for_selector("#undo-move")
    assert settles(frame, f"document.querySelector(\"[data-run='{run}']\").dataset.until.startsWith('{day(10)}')")

    assert (moved["at"], moved["until"]) == (campaign[0]["at"], f"{day(12)}T08:00:00Z")
    assert alice.read(f"/runs/{run}")["until"] == campaign[0]["until"]
    assert frame.locator(".cal.month").count() == 1
    assert "view=month" in frame.evaluate("history.state.shown")  # by which it is shown anew when something changes


def test_a_whole_bar_is_dragged_by_days_and_put_back(tab: Tab, alice: Person, campaign: list[dict[str, Any]]):
    frame = open_scheduled(tab)
    open_month(frame)
    run = campaign[0]["id"]
    bar = f"[data-run='{run}'] a"

    drag(frame, bar, day(10), held_at=day(9))  # the bar itself lies there: it was dragged, not clicked
    frame.wait_for_selector(".said >> text=“Christmas” is rescheduled.")
    moved = alice.read(f"/runs/{run}")
    frame.click("#undo-move")
    assert settles(frame, f"document.querySelector(\"[data-run='{run}']\").dataset.at.startsWith('{day(8)}')")
    hold(frame, bar, day(14), held_at=day(9))
    is_marked = settles(frame, f"{MARKED} === '{day(13)},{day(14)},{day(15)}'")
    tab.page.keyboard.press("Escape")
    tab.page.mouse.up()
    drag(frame, bar, day(9), held_at=day(9))  # a click that wavers
    frame.wait_for_selector(".cal.month")
    left = alice.read(f"/runs/{run}")
    press(frame, bar)
    frame.wait_for_selector("#run-title")

    assert (moved["at"], moved["until"]) == (f"{day(9)}T18:00:00Z", f"{day(11)}T08:00:00Z")
    assert is_marked
    assert (left["at"], left["until"]) == (campaign[0]["at"], campaign[0]["until"])


@pytest.mark.parametrize("grip", ["a", "[data-end=until]"])
def test_what_a_colleague_cancels_while_it_is_dragged_is_told_honestly(
    tab: Tab, alice: Person, ada: Person, campaign: list[dict[str, Any]], grip: str
):
    frame = open_scheduled(tab)
    frame.fill("#agenda-q", "christmas")
    assert settles(frame, "document.querySelectorAll('.entry').length === 2")
    open_month(frame)
    run, other = (each["id"] for each in campaign[:2])

    hold(frame, f"[data-run='{run}'] {grip}", day(12), held_at=day(9) if grip == "a" else None)
    assert ada.opened().post(f"/runs/{run}/cancel").status_code == 200
    tab.page.mouse.up()
    said = ".said.warn >> text=“Christmas” was left as it was" if grip == "a" else "#notices >> text=not possible now"
    frame.wait_for_selector(said)

    assert "It was already cancelled" in frame.inner_text(".said" if grip == "a" else "#notices")
    assert alice.read(f"/runs/{run}")["state"] == "cancelled"
    assert alice.read(f"/runs/{other}")["at"] == campaign[1]["at"]
    assert frame.locator(f"[data-run='{other}']").count() == 1
    assert frame.input_value("#agenda-q") == "christmas"
    if grip == "a":
        assert frame.locator(f"[data-run='{run}']").count() == 0


def test_what_changes_while_a_bar_is_held_is_shown_once_it_is_let_go(
    tab: Tab, alice: Person, ada: Person, campaign: list[dict[str, Any]]
):
    alice.unpublish(*alice.portal.add_pages(2))  # no worker: while it is under way the page asks often
    frame = open_scheduled(tab)
    open_month(frame)
    run, other = (each["id"] for each in campaign[:2])
    hold(frame, f"[data-run='{run}'] a", day(12), held_at=day(9))
    frame.evaluate("document.querySelector('.cal').dataset.held = ''")

    with tab.page.expect_response(lambda answer: "/runs/pulse" in answer.url and answer.status == 200):
        ada.opened().post(f"/runs/{other}/cancel")
    tab.page.wait_for_timeout(500)
    held = frame.locator(".cal[data-held]").count()
    tab.page.keyboard.press("Escape")
    tab.page.mouse.up()

    assert settles(frame, f"!document.querySelector(\"[data-run='{other}']\")")
    assert held == 1
    assert alice.read(f"/runs/{run}")["at"] == campaign[0]["at"]


def test_a_day_without_room_is_listed_by_keyboard_and_by_touch(
    chromium: Browser, standin: StandIn, served: str, alice: Person, campaign: list[dict[str, Any]]
):
    for _ in range(4):
        run = run_id_of(alice.unpublish(OTHER, at=f"{day(9)}T15:00Z", name="Full"))
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, reduced_motion="reduce")
    frame = open_scheduled(Tab(context.new_page(), standin))
    open_month(frame)
    has_drag_hint = frame.locator("#cal-help").is_visible()
    more = f"[data-day='{day(9)}'] .more"

    frame.tap(more)
    frame.wait_for_selector("dialog[open] .of-day")
    listed = frame.locator(".of-day li").count()
    frame.page.keyboard.press("Escape")
    is_back = settles(frame, "document.activeElement.getAttribute('aria-label')?.startsWith('+4 more, ')")
    frame.page.set_viewport_size({"width": 1280, "height": 720})
    seen_on_a_desk = frame.locator(more).is_visible()
    frame.page.set_viewport_size({"width": 390, "height": 844})
    frame.page.keyboard.press("Enter")
    frame.wait_for_selector("dialog[open] .of-day")
    frame.focus(f".of-day a[href='/runs/{run}']")
    frame.page.keyboard.press("Enter")
    frame.wait_for_selector("#run-title")

    assert seen_on_a_desk
    assert not has_drag_hint, "a finger has no mouse"
    assert listed == 7
    assert is_back
    assert not frame.evaluate("document.querySelector('#dialog').open")
    context.close()


def test_the_shift_tells_old_and_new_times_as_the_days_are_typed(
    tab: Tab, alice: Person, campaign: list[dict[str, Any]]
):
    frame = open_scheduled(tab)
    open_dialog(frame, f"#reschedule-{campaign[0]['id']}", "#dialog[open] #by-days")
    assert frame.evaluate(TEXT_LEFT, "#by-days") == frame.evaluate(TEXT_LEFT, "#zone-note")
    open_dialog(frame, "#by-days", "#dialog[open] #days")
    new = "[...document.querySelectorAll('.shifts b')].map((time) => time.textContent)"
    week = frame.evaluate(new)

    frame.fill("#days", "2")
    assert settles(frame, f"String({new}) !== {json.dumps(','.join(week))}")
    typed = frame.evaluate(new)
    frame.fill("#days", "300")
    frame.select_option("#direction", "earlier")
    frame.wait_for_selector("#days-wrong >> text=already passed")
    press(frame, "#confirm")
    is_held = settles(frame, "document.activeElement.id === 'days' && document.querySelector('#dialog').open")
    frame.select_option("#direction", "later")
    assert settles(frame, "document.querySelector('#days-wrong').textContent === ''")
    press(frame, "#confirm")
    frame.wait_for_selector(".said >> text=“Christmas” is rescheduled.")

    assert (len(week), len(typed)) == (2, 2)
    assert is_held


def test_a_campaign_is_found_and_rescheduled_by_a_week(tab: Tab, alice: Person, campaign: list[dict[str, Any]]):
    frame = open_scheduled(tab)
    frame.fill("#agenda-q", "christmas")
    assert settles(frame, "document.querySelectorAll('.entry').length === 2")

    frame.check("#select-entries")
    counted = frame.inner_text("#entries-count")
    open_dialog(frame, "#bulk-reschedule")
    frame.click("#confirm")
    frame.wait_for_selector(".said >> text=2 schedules are now")

    assert counted == "2 schedules selected"
    assert [alice.read(f"/runs/{run['id']}")["at"] for run in campaign] == [
        f"{day(15)}T18:00:00Z", f"{day(16)}T12:00:00Z", f"{day(9)}T12:00:00Z",
    ]  # fmt: skip
    assert frame.input_value("#agenda-q") == "christmas"
    assert settles(frame, "document.activeElement !== document.body")


def test_a_search_that_was_cleared_stays_cleared(tab: Tab, campaign: list[dict[str, Any]]):
    frame = open_scheduled(tab)
    frame.fill("#agenda-q", "christmas")
    assert settles(frame, "document.querySelectorAll('.entry').length === 2")
    open_month(frame)

    frame.fill("#agenda-q", "")
    frame.wait_for_selector(f"[data-run='{campaign[2]['id']}']")
    press(frame, "#tabs a[data-for=pages]")
    frame.wait_for_selector("[data-tab=pages]")
    press(frame, SCHEDULED)
    frame.wait_for_selector(f"[data-run='{campaign[2]['id']}']")

    assert frame.input_value("#agenda-q") == ""


def test_a_return_is_cancelled_alone_from_the_agenda(tab: Tab, alice: Person, campaign: list[dict[str, Any]]):
    frame = open_scheduled(tab)
    run = campaign[0]["id"]
    open_dialog(frame, f"#reschedule-{run}", "#dialog[open] #until")
    frame.fill("#until", "")
    frame.dispatch_event("#until", "change")
    frame.wait_for_selector("#until-wrong >> text=it can be cancelled alone")
    has_bubble = frame.evaluate("""() => {
      let shown = false
      document.addEventListener('invalid', (event) => { shown ||= !event.defaultPrevented }, true)
      document.querySelector('#confirm').click()
      return shown
    }""")
    held_by = frame.evaluate("document.activeElement.id")
    tab.page.keyboard.press("Escape")

    open_dialog(frame, f"#cancel-{run}", "#dialog[open] #only-return")
    press(frame, "#only-return")
    frame.wait_for_selector(".said >> text=The return is cancelled.")

    assert (has_bubble, held_by) == (False, "until")
    assert not frame.evaluate("document.querySelector('#dialog').open")
    assert alice.read(f"/runs/{run}")["state"] == "scheduled"
    assert alice.read(f"/runs/{campaign[0]['returns_run']}")["state"] == "cancelled"


def test_a_schedule_is_edited_from_the_agenda(tab: Tab, alice: Person, campaign: list[dict[str, Any]]):
    frame = open_scheduled(tab)
    run, title = campaign[1]["id"], alice.portal.page(IN_SHOP).title

    open_dialog(frame, f"#change-{run}", "#dialog[open] #find-pages")
    frame.fill("#name", "New Year")
    tab.page.set_viewport_size({"width": 1280, "height": 560})
    frame.fill("#find-pages", title)
    frame.wait_for_selector("#found-count >> text=found")
    is_seen = settles(frame, f"!{COVERED}")
    press(frame, f"#found input[value='{IN_SHOP}']")
    press(frame, "#confirm")
    frame.wait_for_selector(".entry >> text=New Year")

    changed = alice.read(f"/runs/{run}")
    assert is_seen, "what was found is seen"
    assert (changed["name"], [item["lid"] for item in changed["items"]]) == ("New Year", [OTHER, IN_SHOP])


def test_what_is_edited_on_the_page_of_a_run_is_said_there(tab: Tab, campaign: list[dict[str, Any]]):
    frame = open_scheduled(tab)
    frame.click(f"#entry-{campaign[1]['id']} a.title")

    open_dialog(frame, "#run-edit", "#dialog[open] #find-pages")
    frame.fill("#reason", "Sold out")
    press(frame, "#confirm")
    frame.wait_for_selector("#run .said >> text=Its reason is now “Sold out”.")

    assert settles(frame, "document.querySelector('#live').textContent.includes('Its reason is now “Sold out”.')")
    assert settles(frame, "document.activeElement.id === 'run-title'")


def test_who_took_a_page_down_is_found_in_the_history(tab: Tab, alice: Person):
    alice.unpublish(PAGE, reason="Wrong prices")
    alice.unpublish(OTHER)
    title = alice.portal.page(PAGE).title
    frame = tab.open()
    frame.click(HISTORY)
    frame.wait_for_selector("#history table")

    frame.fill("#history-q", title.upper())

    assert settles(frame, "document.querySelectorAll('#history tbody tr').length === 1")
    row = frame.inner_text("#history tbody tr")
    assert alice.portal.user(alice.user_id).full_name in row
    assert alice.read(f"/pages/{PAGE}")["site"] in row
    assert "Wrong prices" in row


def test_publishing_is_scheduled_from_the_bulk_bar_and_said_in_one_line(tab: Tab, alice: Person):
    alice.put("/preferences", {"zone": "Europe/Riga"})
    alice.unpublish(PAGE)
    frame = tab.open()
    frame.locator(f"#p{PAGE}").evaluate("box => box.click()")

    open_dialog(frame, DOWN_LATER, "#at")
    press(frame, "[data-preset=week][data-field=at]")
    press(frame, "[data-preset=month-end][data-field=until]")
    frame.wait_for_selector(".in-words >> text=down again")
    line = frame.inner_text(".in-words")
    frame.fill("#name", "Relaunch")
    frame.click("#confirm")
    frame.wait_for_selector("#run-title")

    run = next(each for each in alice.read("/runs?q=relaunch")["runs"] if each["undoes"] is None)
    assert line.startswith("Online ")
    assert ", down again " in line
    assert (run["action"], run["state"], run["counts"]["total"]) == ("publish", "scheduled", 1)
    assert run["until"] > run["at"]


@pytest.mark.parametrize("lang", ["en", "de"])
def test_on_phones_a_week_says_below_its_bars_what_they_are(tab: Tab, campaign: list[dict[str, Any]], lang: str):
    frame = tab.open(query=f"&lang={lang}")
    press(frame, SCHEDULED)
    frame.wait_for_selector("#entries")
    open_week(frame)
    on_a_desk = frame.locator(".cal ~ .listing").is_visible()
    audit = Audit(widths=(320, 390))

    audit.check(frame, "a week")
    tab.page.set_viewport_size({"width": 320, "height": 720})
    frame.wait_for_selector(".cal ~ .listing")
    uncut = frame.evaluate(
        "[...document.querySelectorAll('.cal.week ~ .listing a')].every(a => a.scrollWidth <= a.offsetWidth)"
    )
    cut = frame.evaluate(
        "[...document.querySelectorAll('.cal :is(.number, .bar-line) span:not(.sr)')]"
        ".filter(each => each.offsetWidth && each.scrollWidth > each.offsetWidth).length"
    )
    listed = frame.inner_text(".cal ~ .listing")

    assert not on_a_desk
    assert uncut
    assert cut == 0
    assert [listed.count(words) for words in ("Christmas", "18:00" if lang == "de" else "6:00\u00a0PM")] == [2, 1]
    assert audit.faults == {}


@pytest.mark.parametrize("lang", ["en", "de"])
def test_the_bar_of_a_mixed_selection_has_one_line_on_a_desk(tab: Tab, alice: Person, lang: str):
    alice.portal.add_pages(1200)
    alice.unpublish(PAGE)
    frame = tab.open(query=f"&lang={lang}")
    frame.locator(f"#p{PAGE}").evaluate("box => box.click()")
    press(frame, "#select-all")
    frame.wait_for_selector("#bulk-all:not([hidden])")

    height, button = (frame.evaluate(f"document.querySelector('{each}').offsetHeight") for each in ("#bulk", UNPUBLISH))
    tab.page.set_viewport_size({"width": 390, "height": 720})
    fits = settles(frame, "document.querySelector('#bulk').scrollWidth <= innerWidth && innerWidth < 400")

    assert button <= height < 2 * button
    assert fits
    assert excess_width(frame) == 0


def test_of_a_mixed_selection_either_way_can_be_scheduled(tab: Tab, alice: Person):
    alice.put("/preferences", {"zone": "Europe/Riga"})
    alice.unpublish(PAGE)
    frame = tab.open()
    for lid in (PAGE, OTHER):
        frame.locator(f"#p{lid}").evaluate("box => box.click()")

    open_dialog(frame, DOWN_LATER, "#at")
    offered = frame.inner_text("#dialog .switch"), frame.get_attribute("#way-unpublish", "aria-pressed")
    open_dialog(frame, "#way-publish", "#way-publish[aria-pressed=true]")
    press(frame, "[data-preset=week][data-field=at]")
    frame.wait_for_selector(".in-words >> text=Online ")
    frame.click("#confirm")
    frame.wait_for_selector("#run-title")

    placed = next(each for each in alice.read("/runs")["runs"] if each["state"] == "scheduled")
    assert [*offered[0].split(), offered[1]] == ["Unpublish", "Publish", "true"]
    assert (placed["action"], placed["counts"]["total"]) == ("publish", 2)


def test_a_wrong_end_is_marked_beside_its_field_and_holds_the_order(tab: Tab, alice: Person):
    frame = tab.open()
    tick(frame, 1)
    open_dialog(frame, DOWN_LATER, "#at")
    assert settles(frame, "document.querySelector('#at').value !== ''")

    frame.fill("#until", "2020-01-01T00:00")
    frame.dispatch_event("#until", "change")
    frame.wait_for_selector("#until-wrong >> text=already passed")
    press(frame, "#confirm")
    is_marked = settles(frame, "document.activeElement.matches('#until[aria-invalid=true]')")
    frame.fill("#until", "")
    frame.dispatch_event("#until", "change")
    assert settles(frame, "document.querySelector('#until-wrong').textContent === ''")
    press(frame, "#confirm")
    frame.wait_for_selector("#run-title")

    assert is_marked
    assert len(alice.read("/runs")["runs"]) == 1


@pytest.mark.parametrize("lang", ["en", "de"])
def test_campaign_and_reason_are_in_view_at_720_pixels(tab: Tab, alice: Person, lang: str):
    alice.unpublish(PAGE)  # so that the dialog also asks which way
    frame = tab.open(query=f"&lang={lang}")
    press(frame, "#select-all")
    open_dialog(frame, DOWN_LATER, "#at")
    frame.click("[data-preset=week]")
    frame.wait_for_selector(".in-words")

    for field in ("#name", "#reason", "#confirm"):
        box = frame.locator(field).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 720, field
    reached = frame.evaluate(
        "['name', 'reason'].map((id) => { const b = document.getElementById(id).getBoundingClientRect();"
        " return document.elementFromPoint(b.x + 9, b.y + 9).id })"
    )
    assert reached == ["name", "reason"]


def test_an_empty_month_leads_to_the_next_schedule_on_a_narrow_phone(tab: Tab, alice: Person):
    alice.unpublish(OTHER, at="2031-11-27T12:00:00Z")
    tab.page.set_viewport_size({"width": 320, "height": 640})
    frame = tab.open(query="&lang=de")
    press(frame, "#tabs [data-for=scheduled]")
    press(frame, "#view-month")

    frame.wait_for_selector("#cal-next >> text=Nächster Termin: Donnerstag, 27. November 2031")
    too_wide = excess_width(frame)
    press(frame, "#cal-next")

    assert settles(frame, "document.querySelector(\"[data-day='2031-11-27']\") !== null")
    assert too_wide == 0


def test_a_calendar_file_is_saved_with_the_session(tab: Tab, campaign: list[dict[str, Any]]):
    frame = open_scheduled(tab)

    with tab.page.expect_download() as saving:
        press(frame, "#agenda-ics")

    assert saving.value.suggested_filename == "sundown.ics"
    assert saving.value.path().read_text().count("BEGIN:VEVENT") == 4


def test_agenda_calendar_and_dialogs_are_accessible(tab: Tab, campaign: list[dict[str, Any]]):
    audit = Audit()
    frame = open_scheduled(tab)
    frame.check("#entries input[name=ids] >> nth=0")
    frame.check("#entries input[name=ids] >> nth=1")
    audit.check(frame, "agenda")
    for what, ready in (("reschedule", "#days"), ("cancel", "#confirm")):
        open_dialog(frame, f"#bulk-{what}", f"#dialog[open] {ready}")
        audit.check(frame, f"bulk {what}")
        press(frame, "#dialog [data-do=close-dialog]")
    for what, ready in (("reschedule", "#until"), ("change", "#find-pages")):
        open_dialog(frame, f"#{what}-{campaign[0]['id']}", f"#dialog[open] {ready}")
        audit.check(frame, what)
        press(frame, "#dialog [data-do=close-dialog]")
    open_month(frame)
    audit.check(frame, "month")
    press(frame, "#view-week")
    frame.wait_for_selector(".cal.week")
    audit.check(frame, "week")
    press(frame, "#tabs a[data-for=pages]")
    frame.wait_for_selector("#grid")
    tick(frame, 1, 2)
    open_dialog(frame, DOWN_LATER, "#at")
    frame.fill("#until", "2020-01-01T00:00")
    frame.dispatch_event("#until", "change")
    frame.wait_for_selector("#until-wrong >> text=already passed")
    audit.check(frame, "schedule")

    assert audit.faults == {}


def test_what_is_cancelled_on_its_page_is_told_where_one_came_from(tab: Tab, campaign: list[dict[str, Any]]):
    frame = open_scheduled(tab)
    press(frame, "#view-month")
    frame.wait_for_selector(".cal.month")
    press(frame, "#cal-after")
    frame.wait_for_selector(f".cal-day[data-day='{day(9)}']")
    heading = frame.inner_text("#cal-title")
    press(frame, f".bar-line[data-run='{campaign[2]['id']}'] a")
    open_dialog(frame, "#run-edit", "#dialog[open] #find-pages")
    frame.fill("#reason", "Sold out")
    press(frame, "#confirm")
    frame.wait_for_selector("#run .said >> text=Its reason is now “Sold out”.")

    open_dialog(frame, "#run-cancel", "#sure")
    press(frame, "#sure")
    frame.wait_for_selector(".said >> text=1 schedule cancelled.")

    assert frame.inner_text("#cal-title") == heading
    assert frame.locator(f"#again-{campaign[2]['id']}").count() == 1
    assert frame.get_attribute("#tabs [aria-current]", "data-for") == "scheduled"
    assert frame.locator(f".bar-line[data-run='{campaign[2]['id']}']").count() == 0
