"""The bell of the stand-in's page: what an app told somebody, with its codes and its links into the app."""

from __future__ import annotations

import json

import pytest
import requests
from playwright.sync_api import Page, expect

from b24sandbox import PortalHandle
from tests.browser.standin_support import (  # noqa: F401  # fixtures
    ProbeApp,
    app_frame,
    page_fixture,
    probe_fixture,
    probe_server_fixture,
)

pytestmark = pytest.mark.browser


def notify(portal: PortalHandle, user: str, message: str) -> None:
    portal.scope(["im"])
    asked = {
        "auth": portal.tokens("admin")["access_token"], "USER_ID": portal.user(user).id, "MESSAGE": message, "TAG": "x",
    }  # fmt: skip
    answer = requests.post(portal.endpoint + "im.notify.system.add", json=asked, timeout=10).json()
    assert isinstance(answer.get("result"), int), answer


def test_a_link_in_a_notice_opens_the_app_in_a_slider_with_its_parameters(
    page: Page, portal: PortalHandle, probe: ProbeApp, standin
):
    link = f"/marketplace/app/{standin.client_id}/?run=5"
    notify(portal, "editor", f"Done at [timestamp=1789000000 format=SHORT_TIME_FORMAT].\n[url={link}]Show it[/url]")
    page.goto(f"{portal.url}/section/feed?user={portal.user('editor').id}")
    expect(page.locator("#bell-count")).to_have_text("1")

    page.locator("#bell-button").click()
    notice = page.locator("#bell-list li")
    expect(notice).to_contain_text(standin.world.application.title)
    expect(notice).not_to_contain_text("[")
    page.get_by_role("link", name="Show it").click()

    app_frame(page)
    expect(page.locator(".slider")).to_have_count(1)
    [post] = probe.posts
    options = json.loads(post.form["PLACEMENT_OPTIONS"])
    assert (post.form["PLACEMENT"], options["run"], options["IFRAME"]) == ("DEFAULT", "5", "Y")
    expect(page.locator("#bell-count")).to_be_hidden()


def test_what_is_no_code_of_a_messenger_stays_text(page: Page, portal: PortalHandle, probe: ProbeApp):
    notify(
        portal,
        "reader",
        "[url=javascript:alert(1)]a[/url] <img src=x onerror=alert(2)> [timestamp=1 format=NONE] [b]c[/b]",
    )
    page.goto(f"{portal.url}/section/feed?user={portal.user('reader').id}")
    page.locator("#bell-button").click()

    shown = page.locator("#bell-list li p")

    expect(shown).to_have_text("a <img src=x onerror=alert(2)> [timestamp=1 format=NONE] c")
    expect(shown.locator("a, img")).to_have_count(0)
    expect(shown.locator("b")).to_have_text("c")
