"""The stand-in's page towards an app in its frame: Bitrix24's own SDK at work, and what a portal leaves unanswered."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Frame, Page, expect

from b24sandbox import PortalHandle, StandIn
from b24sandbox.server.http import Listener
from tests.browser.standin_support import (  # noqa: F401  # fixtures
    ProbeApp,
    app_frame,
    page_fixture,
    probe_fixture,
    probe_server_fixture,
)

pytestmark = pytest.mark.browser


def opened(page: Page, portal: PortalHandle, query: str = "") -> Frame:
    page.goto(f"{portal.url}/{query}")
    return app_frame(page)


# --- What the SDK does -----------------------------------------------------------------------------------


def test_the_app_gets_four_parameters_in_the_address_the_rest_in_the_body(page, portal, probe):
    frame = opened(page, portal, "?user=7&lang=de")

    post = probe.posts[0]
    assert post.path == "/app"
    assert set(post.query) == {"DOMAIN", "PROTOCOL", "LANG", "APP_SID"}
    assert (post.query["DOMAIN"], post.query["PROTOCOL"], post.query["LANG"]) == (portal.domain, "0", "de")
    assert post.form["member_id"] == portal.member_id
    assert post.form["PLACEMENT"] == "DEFAULT"
    assert frame.evaluate("window.name") == f"{portal.domain}|0|{post.query['APP_SID']}"


def test_the_sdk_starts_and_knows_whose_frame_it_is(page, portal, probe):
    frame = opened(page, portal, "?user=7&lang=de")

    known = frame.evaluate("[b24.auth.isAdmin, b24.isInstallMode, b24.placement.placement, b24.getTargetOrigin()]")
    assert known == [False, False, "DEFAULT", portal.url]
    assert frame.evaluate("b24.auth.getAuthData().member_id") == portal.member_id


def test_the_sdk_calls_a_method_as_the_person_whose_frame_it_is(page, portal, probe):
    frame = opened(page, portal, "?user=7")

    result = frame.evaluate("b24.actions.v2.call.make({ method: 'profile' }).then((answer) => answer.getData().result)")

    assert (result["ID"], result["ADMIN"]) == ("7", False)


def test_the_sdk_takes_a_page_down_in_a_batch(page, portal, probe):
    frame = opened(page, portal)

    frame.evaluate("b24.actions.v2.batch.make({ calls: [['landing.landing.unpublic', { lid: 351 }]] })")

    assert portal.page(351).active is False


def test_refresh_auth_gives_tokens_that_work(page, portal, probe):
    frame = opened(page, portal)
    old = frame.evaluate("b24.auth.getAuthData().access_token")
    portal.expire()

    fresh = frame.evaluate("b24.auth.refreshAuth()")

    assert fresh["access_token"] != old
    result = frame.evaluate("b24.actions.v2.call.make({ method: 'profile' }).then((answer) => answer.getData().result)")
    assert result["ID"] == "1"


def test_refresh_auth_of_a_dismissed_person_shows_an_error_and_no_answer(page, portal, probe):
    frame = opened(page, portal, "?user=7")
    portal.forget_user("editor")

    answer = frame.evaluate("raw(`refreshAuth::cb1:${sid}`, 'cb1', 700)")

    assert answer is None
    expect(page.locator("dialog")).to_contain_text("Unable to get new token")


def test_the_frame_becomes_as_tall_as_its_content(page, portal, probe):
    frame = opened(page, portal)

    answer = frame.evaluate("b24.parent.fitWindow()")

    assert answer["height"] == 1234
    assert page.locator(".app-layout").bounding_box()["height"] == 1234


def test_the_frame_takes_the_size_it_asks_for(page, portal, probe):
    frame = opened(page, portal)

    assert frame.evaluate("b24.parent.resizeWindow(640, 480)") == {"width": 640, "height": 480}


def test_the_title_is_text_and_goes_above_the_frame(page, portal, probe):
    frame = opened(page, portal)

    frame.evaluate("b24.parent.setTitle('<b>Sundown</b>: 3 pages')")

    expect(page.locator("#pagetitle")).to_have_text("<b>Sundown</b>: 3 pages")
    assert page.title() == "<b>Sundown</b>: 3 pages"


def test_the_page_scrolls_where_the_app_asks(page, portal, probe):
    frame = opened(page, portal)
    frame.evaluate("b24.parent.fitWindow()")

    frame.evaluate("b24.parent.scrollParentWindow(200)")

    assert page.evaluate("scrollY") == 200


def test_install_finish_shows_the_application_afresh_with_a_new_sid(page, portal, probe):
    portal.install()
    frame = opened(page, portal)
    installer = probe.posts[0]

    frame.evaluate("void b24.installFinish()")
    page.wait_for_url(re.compile("install_finished=Y"))
    frame = app_frame(page)

    assert installer.path == "/install"
    assert probe.posts[-1].path == "/app"
    assert probe.posts[-1].query["APP_SID"] != installer.query["APP_SID"]
    assert frame.evaluate("b24.isInstallMode") is False


def test_before_the_installer_has_finished_others_read_the_portals_words(page, portal, probe):
    portal.install()

    page.goto(f"{portal.url}/?user=7")

    expect(page.locator(".app-place")).to_contain_text("not installed to the end")
    assert probe.posts == []


def test_only_an_administrator_is_answered_about_an_option_of_the_app(page, portal, probe):
    message = "`setAppOption:${JSON.stringify({ name: 'a:b', value: 'c:d' })}:cb2:${sid}`"

    admin = opened(page, portal).evaluate(f"raw({message}, 'cb2')")
    editor = opened(page, portal, "?user=7").evaluate(f"raw({message}, 'cb2', 700)")

    assert json.loads(admin) == {"result": True}
    assert editor is None
    assert opened(page, portal).evaluate("b24.options.appGet('a:b')") == "c:d"


# --- Sliders and selectors -------------------------------------------------------------------------------


def test_a_slider_opens_a_copy_of_the_app_and_answers_when_it_closes(page, portal, probe):
    frame = opened(page, portal)
    frame.evaluate(
        "window.gone = false;"
        "void b24.slider.openSliderAppPage({ lid: 351, bx24_title: 'One page', bx24_width: 700 })"
        ".then(() => { window.gone = true })"
    )

    inner = app_frame(page, 1)

    assert inner.evaluate("[b24.placement.isSliderMode, b24.placement.options.lid]") == [True, 351]
    assert "bx24_title" not in json.loads(probe.posts[-1].form["PLACEMENT_OPTIONS"])
    expect(page.locator(".slider-title")).to_have_text("One page")
    assert frame.evaluate("gone") is False
    page.keyboard.press("Escape")
    frame.wait_for_function("() => window.gone")
    expect(page.locator(".slider")).to_have_count(0)


def test_the_app_in_a_slider_closes_it(page, portal, probe):
    page.goto(f"{portal.url}/?view=slider")
    frame = app_frame(page)

    frame.evaluate("void b24.parent.closeApplication()")

    expect(page.locator(".slider")).to_have_count(0)


def test_open_path_refuses_sites_and_answers_for_crm_when_it_closes(page, portal, probe):
    frame = opened(page, portal)
    sites = frame.evaluate("raw(`openPath:${JSON.stringify({ path: '/sites/site/3/' })}:cb3:${sid}`, 'cb3')")
    deal = "raw(`openPath:${JSON.stringify({ path: '/crm/deal/details/1/' })}:cb4:${sid}`, 'cb4')"
    frame.evaluate(f"void {deal}.then((answer) => {{ window.answer = answer }})")

    page.get_by_role("button", name="Close", exact=True).click()

    assert json.loads(sites) == {"result": "error", "errorCode": "PATH_NOT_AVAILABLE"}
    frame.wait_for_function("() => window.answer")
    assert json.loads(frame.evaluate("answer")) == {"result": "close"}


def test_the_chosen_people_are_the_answer(page, portal, probe):
    frame = opened(page, portal)
    frame.evaluate("void b24.dialog.selectUsers().then((people) => { window.people = people })")

    page.get_by_role("checkbox", name="Tom Okafor").check()
    page.get_by_role("checkbox", name="Ana Ruiz").check()
    page.get_by_role("button", name="Select", exact=True).click()

    frame.wait_for_function("() => window.people")
    assert frame.evaluate("people.map((one) => one.id)") == ["7", "9"]


def test_the_last_item_of_a_pages_settings_opens_the_app_about_that_page(page, portal, probe):
    tokens = portal.tokens("admin")
    page.request.post(
        f"{portal.endpoint}landing.repo.bind",
        data={
            "auth": tokens["access_token"],
            "fields": {
                "PLACEMENT": "LANDING_SETTINGS",
                "PLACEMENT_HANDLER": f"{probe.url}/app",
                "TITLE": "Unpublish or schedule",
            },
        },
    )
    page.goto(f"{portal.url}/sites/?user=9")

    page.get_by_label("Settings of the page Spring sale 2026").click()
    page.get_by_role("button", name="Unpublish or schedule").click()
    frame = app_frame(page)

    form = probe.posts[-1].form
    options = json.loads(form["PLACEMENT_OPTIONS"])
    assert (form["PLACEMENT"], options["SITE_ID"], options["LID"]) == ("LANDING_SETTINGS", "3", "351")
    assert frame.evaluate("b24.placement.placement") == "LANDING_SETTINGS"


# --- Silence ---------------------------------------------------------------------------------------------


SILENT = [
    "`getInitData::cb:0123456789abcdef0123456789abcdef`",
    "`getInitData::cb:`",
    "`getInitDataPlease::cb:${sid}`",
    "`constructor::cb:${sid}`",
    "`setTitle:{not json:cb:${sid}`",
    "`placementBindEvent:{}:cb:${sid}`",
    "`imCallTo:{}:cb:${sid}`",
    "42",
    "null",
    "{ method: 'getInitData', callback: 'cb', appSid: 'another' }",
]
FORMS = [
    "`getInitData::cb:${sid}`",
    "`getInitData:cb:${sid}`",
    "{ method: 'getInitData', callback: 'cb', appSid: sid }",
]


def test_what_a_portal_does_not_understand_stays_unanswered(page, portal, probe):
    frame = opened(page, portal)

    posts = ", ".join(f"raw({message}, 'cb', 700)" for message in SILENT)
    answers = frame.evaluate(f"Promise.all([{posts}])")

    assert answers == [None] * len(SILENT)


def test_a_command_is_understood_in_each_of_its_three_forms(page, portal, probe):
    frame = opened(page, portal)

    for message in FORMS:
        answer = json.loads(frame.evaluate(f"raw({message}, 'cb')"))
        assert (answer["DOMAIN"], answer["IS_ADMIN"], answer["INSTALL"]) == (portal.domain, True, False)


def test_a_page_of_another_origin_is_not_heard_even_with_the_right_sid(page, portal, probe):
    frame = opened(page, portal)
    frame.evaluate("window.heard = []; addEventListener('message', ({ data }) => { heard.push(data) })")
    stranger = Listener("127.0.0.1", 0, ProbeApp())
    add = (
        "(url) => new Promise((done) => { const made = document.createElement('iframe');"
        " made.onload = () => done(true); made.src = url; document.body.append(made) })"
    )
    try:
        frame.evaluate(add, f"{stranger.url}/intruder")
        frame.child_frames[0].evaluate("(sid) => top.postMessage(`setTitle:{}:cb:${sid}`, '*')", frame.evaluate("sid"))
        page.wait_for_timeout(500)
    finally:
        stranger.close()

    assert frame.evaluate("heard") == []
    page.get_by_role("button", name="Remote control").click()
    expect(page.locator("#remote-messages")).to_contain_text(f"dropped: came from {stranger.url}")


def test_two_frames_are_told_apart_by_their_sids(page, portal, probe):
    first = opened(page, portal)
    first.evaluate("void b24.slider.openSliderAppPage({})")
    second = app_frame(page, 1)

    second.evaluate("b24.parent.setTitle('Inner')")
    first.evaluate("b24.parent.setTitle('Outer')")

    expect(page.locator(".slider-title")).to_have_text("Inner")
    expect(page.locator("#pagetitle")).to_have_text("Outer")


def test_an_app_that_does_not_run_is_told_from_one_that_is_silent(page, standin: StandIn, portal, probe):
    free = Listener("127.0.0.1", 0, ProbeApp())
    free.close()
    standin.app_url = free.url

    page.goto(f"{portal.url}/")

    expect(page.locator(".app-place")).to_contain_text("does not answer")
