"""Everything by keyboard alone, in the order of reading."""

from __future__ import annotations

import pytest

from b24sandbox import PortalHandle
from tests.browser.tab import Tab, settles, tab_to

pytestmark = pytest.mark.browser


def test_pages_are_taken_down_and_put_back(tab: Tab, portal: PortalHandle):
    pages = [page for page in portal.pages("PAGE") if page.active]
    keys = tab.page.keyboard
    frame = tab.open()

    tab_to(frame, "#q")
    keys.type(pages[1].title)
    assert settles(
        frame, "title => document.querySelector('#grid').dataset.search.includes(title)", about=pages[1].title
    )
    assert frame.get_attribute("#grid", "data-total") == "1"
    tab_to(frame, "#grid input[name=lids]")
    keys.press("Space")
    tab_to(frame, "#bulk .btn-primary")
    keys.press("Enter")
    frame.wait_for_selector("#dialog[open]")
    tab_to(frame, "#confirm")
    keys.press("Enter")
    frame.wait_for_selector("#run-title >> text=is unpublished")
    assert portal.page(pages[1].id).active is False

    assert settles(frame, "document.activeElement.id === 'run-title'")
    tab_to(frame, "#run-undo")
    keys.press("Enter")
    frame.wait_for_selector("#run-title >> text=is published")
    assert portal.page(pages[1].id).active is True


def test_a_range_is_ticked_with_shift_and_space(tab: Tab):
    frame = tab.open()
    keys = tab.page.keyboard

    tab_to(frame, "#grid tr:nth-child(2) input")
    keys.press("Space")
    tab_to(frame, "#grid tr:nth-child(5) input")
    keys.press("Shift+Space")

    assert settles(frame, "document.querySelector('#bulk-count').textContent === '4 pages selected'")


def test_a_schedule_is_made_and_cancelled(tab: Tab):
    frame = tab.open()
    keys = tab.page.keyboard

    tab_to(frame, "#grid tr:nth-child(2) .c-act button")
    keys.press("Enter")
    frame.wait_for_selector("#dialog[open] #later")
    tab_to(frame, "#later")
    keys.press("Enter")
    frame.wait_for_selector("#dialog #at")
    assert settles(frame, "document.activeElement.id === 'at'")
    tab_to(frame, "#confirm")
    keys.press("Enter")
    frame.wait_for_selector("#run-cancel")
    assert settles(frame, "document.activeElement.id === 'run-title'")
    tab_to(frame, "#run-cancel")
    keys.press("Enter")
    frame.wait_for_selector("#dialog[open] #sure")
    tab_to(frame, "#sure", 4)
    keys.press("Enter")

    frame.wait_for_selector("#run .badge >> text=Cancelled")


def test_history_is_filtered_and_a_run_opened(tab: Tab, alice, portal: PortalHandle):
    alice.unpublish(portal.pages("PAGE")[1].id)
    frame = tab.open()
    keys = tab.page.keyboard

    tab_to(frame, "#tabs [data-for=history]")
    keys.press("Enter")
    frame.wait_for_selector("#by-state")
    tab_to(frame, "#by-state")
    keys.type("With")
    frame.wait_for_selector("#reset-history")
    tab_to(frame, "#reset-history")
    keys.press("Enter")
    frame.wait_for_selector("#history .title")
    tab_to(frame, "#history .title")
    keys.press("Enter")

    frame.wait_for_selector("#run-title")
    assert settles(frame, "document.activeElement.id === 'run-title'")
