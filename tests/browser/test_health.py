"""Health and requests, as an administrator sees them in the portal's frame; nobody else is offered them."""

from __future__ import annotations

import pytest

from tests.browser.accessibility import Audit
from tests.browser.tab import Tab, press

pytestmark = pytest.mark.browser


def test_an_administrator_looks_repairs_and_reads_the_requests(tab: Tab):
    audit = Audit()

    frame = tab.open("admin")
    frame.click("#tabs >> text=Health")
    frame.wait_for_selector("#tabs [aria-current] >> text=Health")
    audit.check(frame, "health")
    press(frame, "#repair")
    frame.wait_for_selector("#view .banner >> text=What was done")
    audit.check(frame, "repaired")
    press(frame, "#log")
    frame.wait_for_selector("#calls tbody tr")
    audit.check(frame, "requests")
    frame.select_option("#by-method", "batch")
    frame.wait_for_selector("#calls:not(.htmx-request)")
    with tab.page.expect_download() as saving:
        press(frame, "#log-csv")
    press(frame, "#to-health")
    frame.wait_for_selector("#repair")

    assert audit.faults == {}
    assert saving.value.suggested_filename == "Sundown requests to the portal.csv"


def test_nobody_else_is_offered_it(tab: Tab):
    frame = tab.open("editor")

    assert frame.locator("#tabs a").all_inner_texts() == ["Pages", "Scheduled", "History"]
