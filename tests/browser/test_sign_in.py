"""Signing in outside the portal, in a real browser: the app's own page works there, too."""

import pytest
from playwright.sync_api import BrowserContext, expect

from b24sandbox import StandIn
from tests.browser.tab import WatchedPage
from tests.people import Person

pytestmark = pytest.mark.browser


def test_a_person_signs_in_outside_the_portal_and_sees_their_pages(
    context: BrowserContext, served: str, standin: StandIn, ada: Person
):
    watched = WatchedPage(context.new_page())
    page = watched.page

    page.goto(f"{served}/oauth/start?domain={standin.portals[0].domain}")

    page.wait_for_selector("#grid tbody tr")
    assert page.url.startswith(f"{served}/oauth/callback?")
    expect(page.locator(".who")).to_contain_text(standin.portals[0].user("admin").last_name)
    assert context.cookies() == []
    assert watched.violations() == []
    assert watched.complaints == []


def test_the_same_address_a_second_time_is_refused_in_words(
    context: BrowserContext, served: str, standin: StandIn, ada: Person
):
    page = context.new_page()
    page.goto(f"{served}/oauth/start?domain={standin.portals[0].domain}")
    page.wait_for_selector("#grid tbody tr")

    page.reload()

    expect(page.locator("h1")).to_be_visible()
    assert page.locator("#grid").count() == 0
    assert page.locator("meta[name=session-token]").count() == 0
