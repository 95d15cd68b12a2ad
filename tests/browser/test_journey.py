"""The whole journey of a person, in the stand-in's frame with Bitrix24's own SDK, at both sizes and in both themes.

Every tab of these tests must stay without a complaint of the console and without a breach of the content policy.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Frame, ViewportSize

from b24app.web import progress
from b24sandbox import PortalHandle, StandIn
from tests.browser.accessibility import excess_width
from tests.browser.tab import UNPUBLISH, Tab, open_dialog, press, settles, tick
from tests.people import Person

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("worker")]

DESK, PHONE = ViewportSize(width=1280, height=720), ViewportSize(width=390, height=844)
LOOKS = [(DESK, "light"), (PHONE, "dark"), (DESK, "dark"), (PHONE, "light")]
FRIDAY = 5
UNPUBLISH_METHOD = "landing.landing.unpublic"


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]['width']}-{look[1]}")
def look(request: pytest.FixtureRequest, tab: Tab, alice: Person) -> str:
    """A size of the window and a theme."""
    size, theme = request.param
    alice.put("/preferences", {"theme": theme})
    tab.page.set_viewport_size(size)
    return str(theme)


@pytest.fixture
def phone(tab: Tab, alice: Person) -> None:
    """In the hand, and dark."""
    alice.put("/preferences", {"theme": "dark"})
    tab.page.set_viewport_size(PHONE)


def heading(frame: Frame) -> str:
    return frame.locator("#view [data-heading]").inner_text()


def order(frame: Frame, button: str = UNPUBLISH) -> None:
    """Press a button that opens the dialog, and confirm what it asks."""
    open_dialog(frame, button, "#dialog[open] #confirm")
    press(frame, "#confirm")


def ends(frame: Frame, words: str) -> None:
    """Wait until the run that is shown has ended with these words as its heading."""
    frame.wait_for_selector(f"#run:not([data-poll]) #run-title >> text={words}")


def test_from_the_list_to_undo(tab: Tab, look: str, portal: PortalHandle, standin: StandIn):
    portal.add_pages(120)
    published = [page.id for page in portal.pages("PAGE") if page.active]
    frame = tab.open()
    assert frame.evaluate("document.documentElement.dataset.theme") == look
    press(frame, "#select-all")
    press(frame, "#next")
    frame.wait_for_selector("#previous:not(:disabled)")
    tick(frame, 0, 1)
    assert frame.inner_text("#bulk-count") == "22 pages selected"
    press(frame, "#select-all")
    total = frame.get_attribute("#grid", "data-total")
    assert frame.inner_text("#bulk-all") == f"Select all {total} that match"
    press(frame, "#bulk-all")
    assert settles(frame, f"document.querySelector('#bulk-count').textContent === '{total} pages selected'")

    open_dialog(frame)
    will = int(frame.inner_text("#dialog-title").split()[1])
    assert "will be skipped" in frame.inner_text("#dialog")
    assert will <= frame.locator("#dialog input[name=lids]").count() < int(total or 0), "not those one has no right to"
    standin.fault(0, UNPUBLISH_METHOD, kind="latency", seconds=0.25, skip=20, times=-1)  # it does not end by itself
    press(frame, "#confirm")
    assert frame.evaluate("document.querySelector('#dialog').open")
    frame.fill("#typed", str(will))
    press(frame, "#confirm")
    frame.wait_for_selector("#run[data-poll] #run-cancel")
    assert settles(frame, "document.querySelector('#run progress').value > 0")
    with tab.page.expect_response("**/cancel"):
        press(frame, "#run-cancel")
    standin.clear_faults()
    frame.wait_for_selector("#run:not([data-poll]) >> text=not done")
    down = [lid for lid in published if not portal.page(lid).active]
    assert 0 < len(down) < will

    open_dialog(frame, "#run-undo", "#dialog[open] #sure")
    assert frame.inner_text("#dialog-title") == f"Publish {len(down)} pages again?"
    press(frame, "#sure")
    ends(frame, f"All {len(down)} pages published")
    assert all(portal.page(lid).active for lid in published)
    assert excess_width(frame) == 0


def test_what_failed_is_shown_alone_and_tried_again(tab: Tab, standin: StandIn):
    standin.fault(0, UNPUBLISH_METHOD, kind="error", code="ACCESS_DENIED", status=400, skip=1)
    frame = tab.open()
    tick(frame, 1, 2, 3)
    order(frame)
    ends(frame, "2 of 3 pages unpublished")
    assert "You have no right to unpublish pages of" in frame.inner_text("#items")

    press(frame, "#items-failed")
    assert settles(frame, "document.querySelectorAll('#items li').length === 1")
    press(frame, "#items-all")
    assert settles(frame, "document.querySelectorAll('#items li').length === 3")
    press(frame, "#run-retry")
    frame.wait_for_selector("#run-title >> text=is unpublished")

    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("#history .runs")
    assert frame.locator(".weeks").count() == 0, "one bar says nothing"
    if not frame.is_visible("#by-state"):
        press(frame, "#history-filters summary")
    frame.select_option("#by-state", "partial,failed")
    assert settles(frame, "document.querySelectorAll('#history tbody tr').length === 1")


@pytest.mark.usefixtures("phone")
def test_a_page_unpublished_until_a_time_is_rescheduled_and_cancelled(tab: Tab, portal: PortalHandle):
    frame = tab.open()
    lid = portal.pages("PAGE")[1].id
    open_dialog(frame, f"#act-{lid}")
    press(frame, "#dialog summary")
    frame.click("#dialog [data-preset=week]")
    frame.wait_for_selector("#time-note >> text=Down now, back")
    press(frame, "#confirm")
    frame.wait_for_selector("#run .tally >> text=Comes back")
    assert portal.page(lid).active is False

    assert settles(frame, "document.querySelector('#scheduled-count').textContent === '1'")
    press(frame, "#tabs [data-for=scheduled]")
    press(frame, "[id^=reschedule-]")
    frame.wait_for_selector("#dialog[open] #until")
    assert settles(frame, "document.activeElement.id === 'until'")
    frame.fill("#until", "2030-01-05T10:00")
    frame.click("#confirm")
    frame.wait_for_selector(".said >> text=Jan 5, 2030")

    press(frame, "#tabs [data-for=pages]")
    frame.wait_for_selector(f"#page-{lid} .due >> text=Comes back: Jan 5, 2030")
    press(frame, f"#page-{lid} .due")
    open_dialog(frame, "#run-cancel", "#dialog[open] #sure")
    assert "will stay unpublished until someone publishes it" in frame.inner_text("#dialog")
    press(frame, "#sure")
    frame.wait_for_selector("#run .badge >> text=Cancelled")
    assert heading(frame) == "Return cancelled"
    assert settles(frame, "document.querySelector('#scheduled-count').textContent === ''")


@pytest.mark.usefixtures("phone")
def test_a_schedule_is_made_with_a_ready_time_and_the_zone_is_named(tab: Tab, portal: PortalHandle, alice: Person):
    riga = datetime.now(ZoneInfo("Europe/Riga"))
    is_over = riga.isoweekday() == FRIDAY and riga.hour >= 17  # offered before 18:00; in Tokyo it is Saturday
    zone = "Asia/Tokyo" if is_over else "Europe/Riga"
    alice.put("/preferences", {"zone": zone})
    frame = tab.open()
    tick(frame, 1, 2)
    open_dialog(frame, "#bulk .btn-soft", "#at")
    assert settles(frame, "document.activeElement.id === 'at'")
    assert f"{zone} (UTC+0" in frame.inner_text("#zone-note")

    frame.click("#dialog [data-preset=friday]")
    assert frame.input_value("#at").endswith("T18:00")
    frame.fill("#reason", "End of season")
    press(frame, "#confirm")
    frame.wait_for_selector("#run-cancel")

    assert heading(frame) == "2 pages will be unpublished"
    assert "Reason: End of season" in frame.inner_text("#run")
    open_dialog(frame, "#run-move", "#dialog[open] #at")
    assert frame.input_value("#at").endswith("T18:00")


@pytest.mark.usefixtures("phone")
def test_a_colleague_takes_over_in_a_window_of_their_own(
    tab: Tab, portal: PortalHandle, standin: StandIn, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(progress, "STILL_SECONDS", 1)
    frame = tab.open()
    tick(frame, 1, 2, 3)
    press(frame, "#bulk .btn-primary:not([hidden])")
    frame.wait_for_selector("#dialog[open] #confirm")
    standin.fault(0, UNPUBLISH_METHOD, kind="error", code="user_access_error", status=401, times=-1, user=7)
    press(frame, "#confirm")
    frame.wait_for_selector("#run >> text=You can't use Sundown on this portal yet")
    assert "Needs attention" in frame.inner_text("#run")

    other = Tab(tab.page.context.new_page(), standin)
    colleague = other.open("admin")
    colleague.wait_for_selector("#news .banner")
    press(colleague, "#news .told a")
    colleague.wait_for_selector("#run >> text=can no longer use Sundown")
    press(colleague, "#run-takeover")
    ends(colleague, "All 3 pages unpublished")
    assert "Taken over by" in colleague.inner_text("#run")

    ends(frame, "All 3 pages unpublished")


@pytest.mark.usefixtures("phone")
def test_page_settings_open_that_page_and_everything_is_done_from_there(tab: Tab, portal: PortalHandle):
    page = portal.pages("KNOWLEDGE")[1]
    options = f'{{"LID":"{page.id}","SITE_ID":"{page.site_id}"}}'
    frame = tab.open(query=f"&placement=LANDING_SETTINGS&options={options}", ready="[data-lid]")
    assert heading(frame) == page.title

    order(frame, "#view .btn-primary")
    frame.wait_for_selector("#run-title >> text=is unpublished")
    press(frame, "#run-back")
    frame.wait_for_selector("[data-lid] .badge >> text=Unpublished")
    order(frame, "#view .btn-primary")
    frame.wait_for_selector("#run-title >> text=is published")
    press(frame, "#run-back")
    frame.wait_for_selector("[data-lid] .badge.ok")

    assert frame.locator(".runs tbody tr").count() == 2
    assert portal.page(page.id).active
