"""How the app looks in the portal's frame: accessible, never wider than the screen, quiet in the console."""

from __future__ import annotations

import json

import pytest

from tests.browser.accessibility import Audit, excess_width, faults_of
from tests.browser.tab import Tab, open_dialog, press, settles, tick

pytestmark = pytest.mark.browser

WIDTHS = (320, 360, 390, 480, 600, 760, 761, 900, 1024, 1280)
AS_TALL_AS_ITS_CONTENT = "innerHeight === Math.ceil(document.querySelector('#app').getBoundingClientRect().height)"
PAYLOADS = (
    "<script>alert(1)</script>", "</script><script>alert(2)</script>", '"><img src=x onerror=alert(3)>', "{{7*7}}",
    "${7*7}", "<svg onload=alert(4)>", "javascript:alert(5)", "' onmouseover='alert(6)", "<b>bold</b> & more",
    "\u202egnp.exe", "<hx-partial hx-target=body>x</hx-partial>", "<style>*{display:none}</style>", "</template><p>",
)  # fmt: skip


def test_every_view_is_accessible_and_fits(tab: Tab, alice, bob, standin):
    audit = Audit()

    frame = tab.open()
    audit.check(frame, "pages")
    tick(frame, 1, 2)
    audit.check(frame, "selection")
    open_dialog(frame, "#bulk .btn-soft")
    audit.check(frame, "schedule")
    frame.locator("#until").evaluate("field => field.value = '2020-01-01T00:00'")  # nobody has looked at it yet
    press(frame, "#confirm")
    frame.wait_for_selector("dialog .banner")
    audit.check(frame, "refused order")
    frame.fill("#until", "")
    press(frame, "#confirm")
    frame.wait_for_selector("#run-cancel")
    audit.check(frame, "scheduled run")

    frame = tab.open()
    standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400)
    unpublished = frame.locator("#grid input[data-published=no]").first
    unpublished.evaluate("box => box.click()")
    assert frame.inner_text("#bulk .btn-primary:not([hidden])") == "Publish…"
    audit.check(frame, "selection of unpublished pages")
    unpublished.evaluate("box => box.click()")
    tick(frame, 1)
    open_dialog(frame)
    audit.check(frame, "confirm")
    press(frame, "#confirm")
    frame.wait_for_selector("#run-retry")
    audit.check(frame, "failed run")
    press(frame, "#tabs >> text=History")
    frame.wait_for_selector(".runs")
    audit.check(frame, "history")
    press(frame, "#tabs >> text=Scheduled")
    frame.wait_for_selector("#tabs [aria-current] >> text=Scheduled")
    audit.check(frame, "scheduled")
    standin.fault(0, "*", kind="error", code="insufficient_scope", status=401, times=-1)
    press(frame, "#tabs >> text=Pages")
    frame.wait_for_selector("#notices .banner")
    audit.check(frame, "missing scope")
    standin.clear_faults()

    options = json.dumps({"LID": str(standin.portals[0].pages("PAGE")[1].id), "SITE_ID": "1"})
    audit.check(tab.open(query=f"&placement=LANDING_SETTINGS&options={options}", ready="[data-lid]"), "page settings")
    audit.check(tab.open("reader"), "reader")

    assert audit.faults == {}


def test_pages_of_a_browser_outside_the_portal_are_accessible(tab: Tab, served: str):
    wrong = {}
    for path in ("app", "install", "privacy", "licence"):
        tab.page.goto(f"{served}/{path}")
        wrong[path] = faults_of(tab.page.main_frame)

    assert not any(wrong.values()), wrong


def test_no_width_scrolls_sideways(tab: Tab):
    frame = tab.open()
    tick(frame, 1, 2, 3)
    too_wide = {}
    for width in WIDTHS:
        tab.page.set_viewport_size({"width": width, "height": 760})
        if excess := excess_width(frame):
            too_wide[width] = excess

    assert too_wide == {}


def test_the_frame_shows_no_scrollbar_at_1280(tab: Tab):
    frame = tab.open()
    tick(frame, 1)

    assert settles(frame, "document.documentElement.scrollHeight <= innerHeight")
    assert excess_width(frame) == 0


def test_the_frame_stays_as_wide_as_the_portal_has_room(tab: Tab):
    frame = tab.open()
    widths = []
    for width in (1280, 1000, 1280):
        frame.page.set_viewport_size({"width": width, "height": 720})
        tick(frame, 1)  # the bar of what is selected changes the height, so the portal is asked anew
        assert settles(frame, AS_TALL_AS_ITS_CONTENT)  # the portal has answered
        widths.append(frame.evaluate("innerWidth"))

    assert widths[0] == widths[2] > widths[1]


def test_titles_with_markup_in_them_stay_text(tab: Tab, portal):
    pages = portal.pages("PAGE")[: len(PAYLOADS)]
    for page, payload in zip(pages, PAYLOADS, strict=True):
        portal.change_page(page.id, title=payload)

    frame = tab.open()
    shown = frame.locator(".pages .title bdi").all_text_contents()
    tick(frame, *range(10))
    open_dialog(frame)
    listed = frame.locator("#dialog .listing bdi").all_text_contents()

    assert shown[: len(PAYLOADS)] == list(PAYLOADS)
    assert sorted(listed) == sorted(PAYLOADS[:10])  # what will be skipped stands first
