"""The control panel, the remote control and the pages around the app, as a person uses them."""

from __future__ import annotations

import re

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.standin_support import (  # noqa: F401  # fixtures
    app_frame,
    page_fixture,
    probe_fixture,
    probe_server_fixture,
)

pytestmark = pytest.mark.browser
STRANGE = "</script><img src=x onerror=alert(1)>"


def panel(page: Page, portal) -> None:
    page.goto(f"{portal.url}/panel")
    expect(page.locator("#people .row").first).to_be_visible()


def test_the_panel_shows_a_call_with_its_request_and_its_answer(page, portal, probe):
    tokens = portal.tokens("editor")
    page.request.post(f"{portal.endpoint}profile", data={"auth": tokens["access_token"]})
    panel(page, portal)

    row = page.locator("#calls li").filter(has_text="profile")
    expect(row).to_contain_text("Tom Okafor")
    row.locator("summary").click()

    expect(row.locator("pre").nth(1)).to_contain_text('"NAME": "Tom"')
    expect(row).not_to_contain_text(tokens["access_token"])


def test_a_scene_sets_its_story_up_and_a_click_ends_it(page, portal, probe):
    panel(page, portal)

    page.get_by_role("button", name="Play: The administrator takes the scope away").click()
    expect(page.locator("#people")).to_contain_text("Scope: none")
    assert portal.state.installation.scope == []
    page.get_by_role("button", name="Give back").click()

    expect(page.locator("#people")).to_contain_text("Scope: landing")
    assert portal.state.installation.scope == ["landing"]


def test_every_scene_can_be_played(page, portal, probe):
    panel(page, portal)

    for button in page.get_by_role("button", name="Play: ").all():
        before = page.locator("#news").inner_text()
        button.click()
        expect(page.locator("#news")).not_to_have_text(before)
        assert not page.locator("#news.bad").is_visible(), page.locator("#news").inner_text()


def test_a_switch_is_turned_and_says_so(page, portal, probe):
    panel(page, portal)

    page.get_by_role("switch", name="payment expired").click()

    expect(page.get_by_role("switch", name="payment expired")).to_have_attribute("aria-checked", "true")
    assert portal.state.switches.payment_expired is True


def test_the_switches_that_are_folded_away_turn_too_and_keep_the_focus(page, portal, probe):
    panel(page, portal)
    page.get_by_text("All other switches").click()
    toggle = page.get_by_role("switch", name="html allowed")

    toggle.click()

    expect(toggle).to_have_attribute("aria-checked", "false")
    expect(toggle).to_be_focused()
    assert portal.state.switches.html_allowed is False


def test_events_are_held_back_let_go_and_shown_with_what_came_back(page, standin, portal, probe):
    admin = portal.tokens("admin")["access_token"]
    bound = {"auth": admin, "event": "ONAPPPAYMENT", "handler": f"{probe.url}/events"}
    requests.post(f"{portal.endpoint}event.bind", json=bound, timeout=10)
    panel(page, portal)

    page.get_by_role("switch", name="Hold events back").click()
    expect(page.get_by_role("switch", name="Hold events back")).to_have_attribute("aria-checked", "true")
    portal.send("ONAPPPAYMENT", {"STATUS": "S"})
    page.reload()
    expect(page.locator("#events")).to_contain_text("1 held back")
    page.get_by_role("button", name="Last one first").click()

    expect(page.locator("#sent")).to_contain_text(re.compile(r"ONAPPPAYMENT\s*200"))
    expect(page.locator("#events")).not_to_contain_text("held back")


def test_how_tokens_are_renewed_is_chosen_for_all_portals(page, standin, portal, probe):
    panel(page, portal)

    page.get_by_label("A refresh token works").select_option("grace")
    expect(page.locator("#news")).to_have_text("A refresh token works: grace")

    assert standin.world.rotation == "grace"


def test_what_was_done_twice_is_told(page, portal, probe):
    auth = portal.tokens("admin")["access_token"]
    panel(page, portal)

    for _ in range(2):
        requests.post(
            f"{portal.endpoint}landing.landing.unpublic", json={"auth": auth, "lid": 351}, timeout=10
        ).raise_for_status()

    expect(page.locator("#twice")).to_have_text("page 351: unpublish once more than needed")


def test_a_trap_is_set_by_form_and_removed(page, standin, portal, probe):
    panel(page, portal)

    page.locator("#fault-kind").select_option("html")
    page.get_by_role("button", name="Set the trap").click()
    expect(page.locator("#traps")).to_contain_text("html on *")
    page.locator("#traps").get_by_role("button", name="Remove").click()

    expect(page.locator("#traps li")).to_have_count(0)
    assert standin.world.faults.waiting == []


def test_reset_leaves_the_app_on_the_portal(page, portal, probe):
    portal.change_page(351, active=False)
    panel(page, portal)

    page.get_by_role("button", name="Reset everything").click()

    expect(page.locator("#news")).to_contain_text("as at the start")
    assert portal.page(351).active is True
    assert portal.state.installation is not None


def test_the_remote_control_takes_a_right_away_and_gives_it_back(page, portal, probe):
    page.goto(f"{portal.url}/?user=7")
    app_frame(page)
    page.get_by_role("button", name="Remote control", exact=True).click()

    page.get_by_role("button", name="Take it from Tom Okafor").click()
    expect(page.locator("#remote-news")).to_contain_text("may only read")
    taken = portal.state.rights[7][3]
    page.get_by_role("button", name="Give it to Tom Okafor").click()

    expect(page.locator("#remote-news")).to_contain_text("may publish")
    assert taken == ["read"]
    assert "public" in portal.state.rights[7][3]


def test_the_bar_changes_person_and_language_in_the_address(page, portal, probe):
    page.goto(f"{portal.url}/")

    page.get_by_label("You are").select_option("7")
    page.wait_for_url(re.compile("user=7"))
    page.get_by_label("Language").select_option("de")
    page.wait_for_url(re.compile("lang=de"))
    app_frame(page)

    assert "user=7" in page.url
    assert probe.posts[-1].query["LANG"] == "de"
    expect(page.locator("nav.menu")).to_contain_text("Kalender")


def test_a_visitor_finds_a_page_that_is_up_and_none_that_is_down(page, portal, probe):
    address = f"{portal.url}/pages/351"

    up = page.goto(address)
    portal.change_page(351, active=False)
    down = page.goto(address)

    assert up is not None
    assert down is not None
    assert (up.status, down.status) == (200, 404)
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()


def test_the_market_removes_the_app_and_puts_it_back(page, portal, probe):
    page.goto(f"{portal.url}/market/")

    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Install").click()
    app_frame(page)

    assert probe.posts[-1].path == "/install"


def test_a_title_full_of_markup_stays_text(page, portal, probe):
    dialogs: list[str] = []

    def dismiss(dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    portal.change_page(351, title=STRANGE, live=STRANGE)

    for path in ("/sites/?site=3&lid=351", "/pages/351", "/", "/panel"):
        page.goto(f"{portal.url}{path}")
        page.wait_for_timeout(300)

    page.goto(f"{portal.url}/sites/?site=3&lid=351")
    expect(page.locator(".settings h3").first).to_have_text(STRANGE)
    assert dialogs == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("path", ["/", "/?theme=dark", "/sites/", "/market/", "/panel", "/pages/351"])
def test_pages_are_accessible_and_never_wider_than_the_window(page, portal, probe, path, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{portal.url}{path}")
    if path == "/panel":  # it asks again and again
        expect(page.locator("#people .row").first).to_be_visible()
    else:
        page.wait_for_load_state("networkidle")

    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"], "iframes": False})

    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
