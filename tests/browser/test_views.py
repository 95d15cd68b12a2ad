"""Every further view: accessible in both themes and at both sizes, and in German no wider than the smallest phone."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from playwright.sync_api import Frame

from b24app.services import Services
from b24sandbox import PortalHandle, StandIn
from tests.browser.accessibility import DESK_WIDTH, Audit, faults_of
from tests.browser.tab import Tab, open_dialog, press, settles, tick
from tests.people import Person
from tests.worker import work_until_idle

pytestmark = pytest.mark.browser

UNPUBLISH_METHOD = "landing.landing.unpublic"
SMALLEST_PHONE = 320


@pytest.fixture
def past(alice: Person, portal: PortalHandle, services: Services, standin: StandIn) -> list[int]:
    """Something of every kind has happened: done, failed in part, waiting for somebody, set for later."""
    lids = [page.id for page in portal.pages("PAGE") if page.active][:9]
    alice.undo(alice.unpublish(lids[0]))
    alice.unpublish(*lids[:3], reason="End of season")
    standin.fault(0, UNPUBLISH_METHOD, kind="error", code="ACCESS_DENIED", status=400, skip=3)
    alice.unpublish(*lids[3:6])
    work_until_idle(services)
    standin.clear_faults()
    at, until = ((services.clock() + timedelta(days=days)).isoformat(timespec="seconds") for days in (30, 31))
    alice.unpublish(lids[6], at=at, until=until, name="Winter sale")
    standin.fault(0, UNPUBLISH_METHOD, kind="error", code="user_access_error", status=401, times=-1, user=alice.user_id)
    alice.unpublish(*lids[7:9])
    work_until_idle(services)
    standin.clear_faults()
    return lids


def test_every_view_of_what_happened_is_accessible_and_fits_in_german_too(tab: Tab, past: list[int]):
    audit = Audit((DESK_WIDTH, SMALLEST_PHONE))
    lang = "de"  # its words are longer than the English ones

    frame = tab.open("admin", f"&lang={lang}")
    assert frame.get_attribute("html", "lang") == lang
    frame.wait_for_selector("#news section")
    audit.check(frame, "news and a page with a schedule")
    press(frame, "#news .told a")
    frame.wait_for_selector("#run-takeover")
    audit.check(frame, "waiting run")
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("#history tbody tr:nth-child(3)")
    audit.check(frame, "history")
    press(frame, "#history [id^=run-] .due")
    frame.wait_for_selector("#run-undo")
    audit.check(frame, "an undo")
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("#by-state")
    frame.select_option("#by-state", "partial,failed")
    frame.wait_for_selector("#history tbody tr:only-child")
    press(frame, "#history .title")
    frame.wait_for_selector("#items-failed")
    press(frame, "#items-failed")
    frame.wait_for_selector("#items li:only-child")
    audit.check(frame, "failed only")
    press(frame, "#tabs [data-for=scheduled]")
    frame.wait_for_selector(".entry .title")
    audit.check(frame, "scheduled")
    press(frame, ".entry:has([id^=reschedule-]) .title")
    frame.wait_for_selector("#run .half")
    audit.check(frame, "one half of a pair")
    open_dialog(frame, "#run-move", "#dialog[open] #at")
    audit.check(frame, "another time")
    press(frame, "dialog [data-do=close-dialog]")
    press(frame, "#tabs [data-for=health]")
    frame.wait_for_selector("#repair")
    audit.check(frame, "health")
    press(frame, "#repair")
    frame.wait_for_selector("#view [role=status] h3")
    audit.check(frame, "repaired")
    press(frame, "#log")
    frame.wait_for_selector("#view [data-tab=health] table")
    audit.check(frame, "requests")
    look_at_dialogs(tab, audit, past, lang)

    assert audit.faults == {}


def look_at_dialogs(tab: Tab, audit: Audit, past: list[int], lang: str) -> None:
    """The settings of a page that has a schedule, and both dialogs of a list with many pages."""
    options = json.dumps({"LID": str(past[6]), "SITE_ID": "1"})
    frame = tab.open("admin", f"&lang={lang}&placement=LANDING_SETTINGS&options={options}", "[data-lid]")
    audit.check(frame, "settings of a page with a schedule")
    tab.standin.portals[0].add_pages(110)
    frame = tab.open("admin", f"&lang={lang}")
    press(frame, "#tabs [data-for=pages]")
    assert settles(frame, "Number(document.querySelector('#grid')?.dataset.total) > 110")
    choose_all(frame)
    open_dialog(frame, ready="#typed")
    press(frame, "#dialog summary")
    audit.check(frame, "many pages")


def choose_all(frame: Frame) -> None:
    """Tick every page that matches."""
    press(frame, "#select-all")
    press(frame, "#bulk-all")
    frame.wait_for_selector("#bulk-all", state="hidden")


@pytest.mark.parametrize("missing", [False, True])
def test_the_installer_is_accessible_and_says_who_can_help(tab: Tab, portal: PortalHandle, missing: bool):
    portal.install()
    if missing:
        portal.scope([])
    tab.page.route("**/_standin/command", lambda route: route.fulfill(json={"silent": True}))
    tab.page.goto(f"{portal.url}/?user=1")
    frame = tab.frame()
    frame.wait_for_selector("#install button:visible")

    assert faults_of(frame) == []
    assert ("Ask an administrator" in frame.inner_text("#install")) == missing
    assert frame.inner_text("#install button:visible") == ("Check again" if missing else "Try again")


def test_a_missing_permission_keeps_the_selection_and_can_be_checked_again(tab: Tab, standin: StandIn):
    frame = tab.open()
    tick(frame, 1, 2)
    standin.fault(0, "*", kind="error", code="insufficient_scope", status=401, times=-1)
    press(frame, "#tabs [data-for=pages]")
    frame.wait_for_selector("#notices .banner >> text=The app lacks the Sites permission")
    assert frame.inner_text("#bulk-count") == "2 pages selected"
    standin.clear_faults()

    press(frame, "#notices [data-do=repeat]")

    frame.wait_for_selector("#notices .banner", state="detached")


def test_a_lost_network_is_told_and_trying_again_goes_on(tab: Tab):
    frame = tab.open()
    tick(frame, 1, 2, 3)
    tab.page.context.set_offline(True)
    press(frame, "#bulk .btn-primary:not([hidden])")
    frame.wait_for_selector("#notices .banner >> text=did not answer")
    assert frame.inner_text("#bulk-count") == "3 pages selected"
    tab.page.context.set_offline(False)

    press(frame, "#notices [data-do=repeat]")

    frame.wait_for_selector("#dialog[open] #confirm")
    assert frame.locator("#dialog input[name=lids]").count() == 3


def test_a_csv_is_saved_with_the_session(tab: Tab, past: list[int]):
    frame = tab.open()
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("#history-csv")

    with tab.page.expect_download() as saved:
        press(frame, "#history-csv")

    assert saved.value.suggested_filename.endswith(".csv")
    assert "End of season" in saved.value.path().read_text(encoding="utf-8-sig")
