"""What the page's script does by itself: refresh a session, keep a selection, place banners and focus, order once."""

from __future__ import annotations

import pytest
from playwright.sync_api import Frame, Route

from b24app.factory import asset
from tests.browser.tab import UNPUBLISH, Tab, open_dialog, press, settles, tick
from tests.people import Person

pytestmark = pytest.mark.browser

# A link that has come into the page and that htmx has not taken up yet.
CLICK_A_NEW_LINK = """
const link = document.createElement('a')
for (const [name, value] of [['href', '/runs'], ['hx-get', '/runs']]) link.setAttribute(name, value)
document.querySelector('#notices').append(link)
link.click()
link.remove()
"""


def gets_the_focus(frame: Frame, wanted: str, what: str = "id") -> bool:
    """Whether the focus comes to it; a dialog's end is told a moment after it is seen."""
    return settles(frame, f"String(document.activeElement.{what}).trim() === '{wanted}'")


def ticked(frame: Frame) -> str:
    return frame.locator("#bulk-count").inner_text()


def watch(tab: Tab, path: str) -> list[str]:
    """Methods of the requests to a path of the app, as they happen."""
    seen: list[str] = []
    tab.page.on("request", lambda request: seen.append(request.method) if request.url.endswith(path) else None)
    return seen


def test_a_click_before_the_script_is_there_does_no_harm(tab: Tab):
    asked = watch(tab, "/runs")
    script = tab.hold(f"**{asset('app.js')}")
    portal = tab.standin.portals[0]
    tab.page.goto(f"{portal.url}/?user={portal.user('editor').id}", wait_until="commit")
    shell = tab.page.frame_locator("iframe")
    history = shell.locator("#tabs [data-for=history]")
    history.evaluate("link => { link.click(); document.querySelector('#theme').click() }")

    tab.first(script).continue_()
    frame = tab.frame()
    frame.wait_for_selector("#grid tbody tr")
    frame.evaluate(CLICK_A_NEW_LINK)
    assert asked == []
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("[data-tab=history]")

    assert asked == ["GET"]
    assert "/app?" in frame.url


def test_an_ended_session_is_refreshed_and_the_order_goes_on(tab: Tab, clock, portal):
    frame = tab.open()
    tick(frame, 1, 2)
    refreshes = watch(tab, "/session")
    clock.tick(hours=2)
    portal.expire("editor")

    open_dialog(frame)

    assert frame.locator("#dialog input[name=lids]").count() == 2
    assert frame.locator("#notices .banner").count() == 0
    assert refreshes == ["POST"]


def test_a_refreshed_session_speaks_on_in_its_language_beside_another(tab: Tab, alice: Person, clock, portal):
    frame = tab.open(query="&lang=de")
    refreshes = watch(tab, "/session")
    clock.tick(hours=2)
    portal.expire("editor")
    alice.opened()  # in English

    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("[data-tab=history]")

    assert refreshes == ["POST"]
    assert "Noch wurde nichts getan" in frame.inner_text("#view")
    assert "Nothing has been done yet" in alice.fragment("GET", "/runs").text


def test_requests_that_fail_together_refresh_the_session_once(tab: Tab, clock):
    frame = tab.open()
    refreshes = watch(tab, "/session")
    clock.tick(hours=2)

    frame.evaluate("for (const link of document.querySelectorAll('#tabs [data-for=history], #theme')) link.click()")
    frame.wait_for_selector("[data-tab=history]")

    assert settles(frame, "document.documentElement.dataset.theme === 'dark'")
    assert refreshes == ["POST"]


def test_when_the_portal_is_silent_the_page_works_and_offers_to_reopen(tab: Tab, clock):
    tab.page.route("**/_standin/command", lambda route: route.fulfill(json={"silent": True}))
    frame = tab.open()
    tick(frame, 1)
    clock.tick(hours=2)

    press(frame, UNPUBLISH)
    frame.wait_for_selector("#notices .banner.bad")

    assert frame.locator("#notices [data-do=reopen]").count() == 1
    assert gets_the_focus(frame, "reopen", "dataset.do")
    assert ticked(frame) == "1 page selected"


def test_a_selection_outlives_the_screens_of_a_search_until_it_is_cleared(tab: Tab):
    frame = tab.open()
    tick(frame, 1, 2)
    press(frame, "#next")
    frame.wait_for_selector("#previous:not(:disabled)")
    assert ticked(frame) == "2 pages selected"

    tick(frame, 0)
    frame.locator("#grid input[name=lids]").nth(5).evaluate(
        "box => box.dispatchEvent(new MouseEvent('click', { bubbles: true, shiftKey: true }))"
    )
    assert ticked(frame) == "8 pages selected"
    assert frame.evaluate("document.querySelector('#select-all').indeterminate")

    press(frame, "#bulk [data-do=clear-selection]")
    assert settles(frame, "document.querySelector('#bulk').hidden")


def test_all_that_match_can_be_selected_at_once(tab: Tab):
    frame = tab.open()
    total = int(frame.get_attribute("#grid", "data-total") or 0)

    press(frame, "#select-all")
    press(frame, "#bulk-all")

    assert total > 20
    assert settles(frame, f"document.querySelector('#bulk-count').textContent.startsWith('{total} ')")


def test_the_dialog_gives_the_focus_back_to_the_button_that_opened_it(tab: Tab):
    frame = tab.open()
    frame.focus("#grid input[name=lids] >> nth=1")
    tab.page.keyboard.press("Space")
    frame.focus(UNPUBLISH)
    tab.page.keyboard.press("Enter")
    frame.wait_for_selector("dialog[open]")
    assert gets_the_focus(frame, "Cancel", "textContent")

    tab.page.keyboard.press("Escape")

    assert settles(frame, "!document.querySelector('dialog').open")
    assert gets_the_focus(frame, "Unpublish now…", "textContent")


def test_after_a_run_has_begun_the_focus_is_on_its_heading(tab: Tab, portal):
    lid = portal.pages("PAGE")[1].id
    frame = tab.open()
    open_dialog(frame, f"#act-{lid}")

    frame.click("#confirm")
    frame.wait_for_selector("#run-undo")

    assert gets_the_focus(frame, "run-title")
    assert portal.page(lid).active is False
    press(frame, "#run-undo")
    frame.wait_for_selector("#run >> text=is published")
    assert portal.page(lid).active is True


def test_after_a_lost_answer_the_dialog_repeats_the_order_without_doubling(tab: Tab, standin):
    frame = tab.open()
    tick(frame, 1)
    open_dialog(frame)
    keys: list[str | None] = []

    def lose(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key"))
        route.fetch()
        route.abort()

    tab.page.route("**/runs", lose)
    frame.click("#confirm")
    frame.wait_for_selector("dialog[open] .banner >> text=History")
    tab.page.unroute("**/runs")
    tab.page.on("request", lambda request: keys.append(request.headers.get("idempotency-key")))
    frame.click("#confirm")
    frame.wait_for_selector("#run-undo")

    orders = [key for key in keys if key]
    assert len(orders) == 2
    assert len(set(orders)) == 1
    assert standin.portals[0].asked("landing.landing.unpublic") == 1


def test_try_again_repeats_what_failed(tab: Tab, standin):
    frame = tab.open()
    standin.fault(0, "*", kind="html", times=-1)
    press(frame, "#tabs [data-for=pages]")
    frame.wait_for_selector("#notices .banner.warn")
    assert frame.locator("#grid tbody tr").count() > 0
    standin.clear_faults()

    press(frame, "#notices [data-do=retry]")

    assert settles(frame, "!document.querySelector('#notices .banner')")


def test_a_first_look_that_fails_is_no_empty_page(tab: Tab, standin):
    standin.fault(0, "*", kind="error", code="insufficient_scope", status=401, times=-1)

    frame = tab.open(ready="#notices .banner")

    assert frame.locator("#view .empty h2").inner_text() == "The list could not be loaded"
    assert frame.locator("#view .empty").inner_text().count("The app lacks the Sites permission") == 1
    standin.clear_faults()
    press(frame, "#view .empty [data-do=repeat]")
    frame.wait_for_selector("#grid tbody tr")
    frame.wait_for_selector("#notices .banner", state="detached")


def test_answers_to_other_requests_leave_a_banner_alone(tab: Tab, standin):
    news = tab.hold("**/news")
    standin.fault(0, "*", kind="html", times=-1)
    frame = tab.open(ready="#notices .banner")

    with tab.page.expect_response("**/news") as answered:
        news[0].continue_()
    assert answered.value.status == 200
    with tab.page.expect_response("**/preferences") as answered:
        press(frame, "#theme")
    assert answered.value.status == 204
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("[data-tab=history]")
    assert frame.locator("#notices .banner").count() == 1

    standin.clear_faults()
    press(frame, "#notices [data-do=retry]")
    frame.wait_for_selector("#grid tbody tr")
    frame.wait_for_selector("#notices .banner", state="detached")


def test_banners_of_different_causes_stand_together(tab: Tab, standin):
    frame = tab.open()
    standin.fault(0, "*", kind="error", code="insufficient_scope", status=401, times=-1)
    press(frame, "#tabs [data-for=pages]")
    frame.wait_for_selector("#notices .banner >> text=The app lacks the Sites permission")
    tab.page.route("**/runs", lambda route: route.abort())
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("#notices .banner >> text=did not answer")
    assert frame.locator("#notices .banner").count() == 2

    with tab.page.expect_response("**/pages?fresh=1"):
        press(frame, "#notices .banner:has(.code) [data-do=repeat]")
    frame.wait_for_selector("#notices .banner:first-child .code")
    assert frame.locator("#notices .banner").count() == 2, "the same cause replaces its own"

    standin.clear_faults()
    press(frame, "#notices .banner:has(.code) [data-do=repeat]")
    frame.wait_for_selector("#notices .banner:has(.code)", state="detached")
    assert frame.locator("#notices .banner").inner_text().startswith("The app's server did not answer")

    tab.page.unroute("**/runs")
    press(frame, "#notices [data-do=repeat]")
    frame.wait_for_selector("[data-tab=history]")
    frame.wait_for_selector("#notices .banner", state="detached")


def test_one_banner_for_two_requests_stays_until_both_succeed(tab: Tab):
    late = tab.hold("**/news")
    tab.page.route("**/pages", lambda route: route.abort())
    frame = tab.open(ready="#notices .banner")
    frame.wait_for_selector("#view [data-failed]")
    with tab.page.expect_event("requestfailed"):
        tab.first(late).abort()
    assert settles(frame, "document.querySelectorAll('#notices .banner').length === 1")

    tab.page.unroute("**/pages")
    press(frame, "#view [data-do=repeat]")
    frame.wait_for_selector("#grid tbody tr")
    assert frame.locator("#notices .banner").count() == 1

    tab.page.unroute("**/news")
    press(frame, "#notices [data-do=repeat]")
    frame.wait_for_selector("#notices .banner", state="detached")


def test_a_banner_can_be_closed_whatever_its_button_does(tab: Tab, standin):
    frame = tab.open()
    standin.fault(0, "*", kind="html", times=-1)
    press(frame, "#tabs [data-for=pages]")
    frame.wait_for_selector("#notices [data-do=retry]")

    frame.get_by_role("alert").get_by_role("button", name="Close").click()

    assert frame.locator("#notices .banner").count() == 0


def test_a_refusal_stays_explained_while_another_time_is_chosen(tab: Tab):
    frame = tab.open()
    tick(frame, 1)
    open_dialog(frame, "#bulk .btn-soft")
    frame.locator("#until").evaluate("field => field.value = '2020-01-01T00:00'")  # nobody has looked at it yet
    frame.click("#confirm")
    frame.wait_for_selector("dialog .banner")

    frame.fill("#until", "")
    with tab.page.expect_response("**/runs/preview") as answered:
        frame.dispatch_event("#until", "change")
    assert answered.value.status == 200
    frame.wait_for_selector("#time-note p")
    assert frame.locator("dialog .banner").count() == 1

    frame.click("#confirm")
    frame.wait_for_selector("#run-cancel")
    assert frame.locator("dialog .banner, #notices .banner").count() == 0


def test_a_late_list_does_not_replace_the_view_opened_meanwhile(tab: Tab):
    late = tab.hold("**/pages")
    frame = tab.open(ready="#view [data-loading]", settled=False)
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("[data-tab=history]")

    with tab.page.expect_response("**/pages") as answered:
        late[0].continue_()
    assert answered.value.status == 200
    press(frame, "#theme")

    assert settles(frame, "document.documentElement.dataset.theme === 'dark'")
    assert frame.locator("#view > [data-tab=history]").count() == 1
    assert frame.locator("#grid").count() == 0


def test_a_late_failure_is_not_told_over_the_view_opened_meanwhile(tab: Tab):
    late = tab.hold("**/pages")
    frame = tab.open(ready="#view [data-loading]", settled=False)
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("[data-tab=history]")

    unanswered = tab.hold("**/preferences")
    with tab.page.expect_event("requestfailed"):
        late[0].abort()
    press(frame, "#theme")
    assert settles(frame, "document.querySelector('#theme.htmx-request') !== null")

    assert tab.first(unanswered).request.method == "PUT"
    assert frame.locator("#view > [data-tab=history]").count() == 1
    assert frame.locator("#notices .banner").count() == 0


def test_the_list_still_comes_when_the_view_opened_meanwhile_fails(tab: Tab):
    late = tab.hold("**/pages")
    tab.page.route("**/runs", lambda route: route.abort())
    frame = tab.open(ready="#view [data-loading]", settled=False)
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("#notices .banner")
    assert frame.locator("#view [data-loading]").count() == 1

    late[0].continue_()

    frame.wait_for_selector("#grid tbody tr")
    assert frame.locator("#notices .banner").count() == 1


def test_a_late_dialog_does_not_cover_the_view_opened_meanwhile(tab: Tab, portal):
    frame = tab.open()
    late = tab.hold("**/runs/preview")
    press(frame, f"#act-{portal.pages('PAGE')[1].id}")
    assert settles(frame, "document.querySelector('#grid [id^=act-]:disabled') !== null")
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("[data-tab=history]")

    with tab.page.expect_response("**/runs/preview") as answered:
        late[0].continue_()
    assert answered.value.status == 200
    with tab.page.expect_response("**/preferences"):
        press(frame, "#theme")

    assert not frame.evaluate("document.querySelector('dialog').open")


def test_what_one_may_not_change_is_marked_and_cannot_be_ticked(tab: Tab):
    frame = tab.open("reader")

    rows = frame.locator("#grid tbody tr").count()

    assert rows > 0
    assert frame.locator("#grid tr.is-locked input:disabled").count() == rows
    assert frame.locator("#grid >> text=View only").count() >= rows
    assert frame.evaluate("document.querySelector('#select-all').disabled")


def test_the_theme_is_remembered(tab: Tab):
    frame = tab.open()
    with tab.page.expect_response("**/preferences") as answered:
        frame.click("#theme")
    assert answered.value.status == 204

    assert tab.open().evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_installer_finishes_once_and_the_portal_moves_on_to_the_app(tab: Tab, portal):
    portal.install()
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.post_data or ""))

    tab.page.goto(f"{portal.url}/?user=1")
    tab.page.frame_locator("iframe").locator("#grid").wait_for()

    assert "/app?" in tab.frame().url
    assert portal.installed
    assert sum("setInstallFinish" in body for body in asked) == 1
