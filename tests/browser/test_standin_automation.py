"""What a person does with what an app has registered: automation rules, links into it, words where it is missing."""

from __future__ import annotations

import json
import re

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.standin_support import (  # noqa: F401  # fixtures
    ProbeApp,
    app_frame,
    page_fixture,
    probe_fixture,
    probe_server_fixture,
)

pytestmark = pytest.mark.browser


def register(portal, probe: ProbeApp, **more: object) -> None:
    """A robot of the probe's with a number, a switch and a choice."""
    portal.scope(["bizproc"])
    properties = {
        "pages": {"Name": {"en": "Pages", "de": "Seiten"}, "Type": "int", "Multiple": "Y"},
        "loud": {"Name": "Loud", "Type": "bool"},
        "mode": {"Name": "Mode", "Type": "select", "Options": {"down": "Take down", "up": "Put up"}},
    }
    asked = {
        "auth": portal.tokens("admin")["access_token"], "CODE": "pages", "HANDLER": f"{probe.url}/robot",
        "NAME": "Pages up and down", "PROPERTIES": properties, **more,
    }  # fmt: skip
    answer = requests.post(portal.endpoint + "bizproc.robot.add", json=asked, timeout=10).json()
    assert answer.get("result") is True, answer


def test_a_rule_is_set_up_in_the_portals_own_fields_and_fired(page: Page, portal, probe, standin):
    register(portal, probe)
    page.goto(f"{portal.url}/section/crm")
    expect(page.locator("#rules")).to_contain_text("None yet")

    page.get_by_role("button", name="Add rule").click()
    page.get_by_label("Pages (several: with commas)").fill("351, 352")
    page.get_by_label("Loud").check()
    page.get_by_label("Mode").select_option("up")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#rules")).to_contain_text("Pages up and down")
    page.get_by_label("Deal number").fill("42")
    page.get_by_role("button", name="Fire").click()

    expect(page.locator("#workflows")).to_contain_text("Deal 42")
    standin.wait_for_events()
    [post] = [each for each in probe.posts if each.path == "/robot"]
    assert (post.form["properties[pages][0]"], post.form["properties[pages][1]"]) == ("351", "352")
    assert (post.form["properties[loud]"], post.form["properties[mode]"]) == ("Y", "up")
    assert post.form["document_id[2]"] == "DEAL_42"


def test_a_rule_is_set_up_in_the_apps_own_frame(page: Page, portal, probe):
    register(portal, probe, USE_PLACEMENT="Y", PLACEMENT_HANDLER=f"{probe.url}/dialog")
    page.goto(f"{portal.url}/section/crm")

    page.get_by_role("button", name="Add rule").click()
    frame = app_frame(page)
    assert page.locator(".robot-frame").bounding_box()["height"] == 350  # type: ignore[index]
    interface = frame.evaluate("raw(`getInterface:{}:i1:${sid}`, 'i1')")
    frame.evaluate("raw(`setPropertyValue:${JSON.stringify({ pages: ['351'], loud: 'Y' })}:c1:${sid}`, 'c1')")
    before = list(portal.state.rules)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#rules")).to_contain_text("351")

    [post] = [each for each in probe.posts if each.path == "/dialog"]
    options = json.loads(post.form["PLACEMENT_OPTIONS"])
    assert post.form["PLACEMENT"] == "BIZPROC_ACTIVITY_PROPERTIES_DIALOG"
    assert (options["code"], options["current_values"]) == ("pages", [])
    assert json.loads(interface)["command"] == ["setPropertyValue"]
    assert before == []  # the app has written, the person had yet to save
    assert portal.state.rules[0].values == {"pages": ["351"], "loud": "Y"}


def test_a_rule_can_be_changed_and_taken_away(page: Page, portal, probe):
    register(portal, probe)
    portal.add_rule("pages", pages=["1"], mode="down")
    page.goto(f"{portal.url}/section/crm")

    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("Pages (several: with commas)").fill("2")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#rules")).to_contain_text("'2'")
    page.get_by_role("button", name="Remove", exact=True).click()

    expect(page.locator("#rules")).to_contain_text("None yet")
    assert portal.state.rules == []


def test_a_link_opens_the_app_with_its_parameters(page: Page, portal, probe, standin):
    page.goto(f"{portal.url}/marketplace/app/{standin.client_id}/?run=5&user=7")
    app_frame(page)

    post = probe.posts[-1]
    assert (post.path, post.form["PLACEMENT"]) == ("/app", "DEFAULT")
    assert json.loads(post.form["PLACEMENT_OPTIONS"]) == {"run": "5"}
    page.locator("#bar-choices select[name=lang]").select_option("de")
    page.wait_for_url(re.compile("lang=de"))
    app_frame(page)
    assert "run=5" in page.url
    assert probe.posts[-1].query["LANG"] == "de"


def test_the_panel_says_how_to_add_a_method_that_is_not_there(page: Page, portal, probe):
    token = portal.tokens("editor")["access_token"]
    requests.post(portal.endpoint + "tasks.task.list", json={"auth": token}, timeout=10)
    page.goto(f"{portal.url}/panel")

    expect(page.locator("#unknown")).to_contain_text("does not have tasks.task.list")
    expect(page.locator("#unknown")).to_contain_text("--methods FILE")


def test_where_no_app_runs_the_portal_says_what_to_do(page: Page, portal, standin, probe):
    standin.app_url = "http://127.0.0.1:9"
    page.goto(portal.url)

    expect(page.locator("#app-place")).to_contain_text("No answer at http://127.0.0.1:9")
    expect(page.locator("#app-place")).to_contain_text("--app-url")
    standin.app_url = probe.url
