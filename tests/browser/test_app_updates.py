"""An update of the app is told once, and the person can put the words away."""

import pytest
from playwright.sync_api import expect

from tests.browser.tab import Tab, press

pytestmark = pytest.mark.browser


def test_an_update_is_told_once_and_can_be_put_away(tab: Tab, portal):
    tab.open()
    with portal.world.lock:
        portal.state.installation.version += 1

    frame = tab.open()
    told = frame.locator(".banner.news", has_text="Sundown was updated")
    expect(told).to_contain_text("version 4")
    press(frame, ".banner.news [data-do=close]")

    expect(told).to_have_count(0)
    assert "Sundown was updated" not in tab.open().content()
