"""Finding pages among many: pasted addresses, order, a searched list of sites, only the selected ones, screens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import Frame

from b24sandbox import PortalHandle, StandIn
from tests.browser.accessibility import Audit
from tests.browser.tab import Tab, open_dialog, press, settles, tab_to, tick
from tests.clocks import YEAR
from tests.people import Person

pytestmark = pytest.mark.browser


def titles(frame: Frame) -> list[str]:
    return frame.locator("#grid .title bdi").all_text_contents()


def selected(frame: Frame, words: str) -> bool:
    return settles(frame, f"document.querySelector('#bulk-count').textContent === '{words}'")


def many_sites(standin: StandIn, number: int) -> None:
    """So many more sites on the first portal, each with a page."""
    portal = standin.portals[0]
    with standin.world.lock:
        sites = portal.state.sites
        more = {n: replace(sites[3], id=n, code=f"s{n}", title=f"Branch {n}") for n in range(1000, 1000 + number)}
        sites.update(more)
    portal.add_pages(3, site=1234)


# A button says something for two seconds only: it is kept.
HEAR = """() => {
  window.said = []
  const hear = (changes) => said.push(...changes.map(({ target }) => target.dataset.said))
  new MutationObserver(hear).observe(document, { subtree: true, attributeFilter: ['data-said'] })
}"""
PASTE = """(field, text) => {
  const clipboardData = new DataTransfer()
  clipboardData.setData('text/plain', text)
  field.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }))
}"""


def test_six_pasted_addresses_become_a_selection(tab: Tab, alice: Person, portal: PortalHandle):
    pages = [page for page in alice.read("/pages?limit=100")["pages"] if page["published"] and page["may"]][-6:]
    frame = tab.open()

    press(frame, "#paste")
    frame.wait_for_selector("#dialog[open]")
    assert settles(frame, "document.activeElement.id === 'addresses'")
    frame.fill("#addresses", "\n".join([*(page["url"] for page in pages), "https://example.com/none/"]))
    press(frame, "#find")
    frame.wait_for_selector("#found >> text=6 pages found and selected")

    assert selected(frame, "6 pages selected")
    assert "https://example.com/none/" in frame.inner_text("#found .missing")
    assert settles(frame, "document.activeElement.closest('#found') !== null")
    open_dialog(frame)
    frame.click("#confirm")
    frame.wait_for_selector("#run")
    assert frame.locator(".items li").count() == 6


def test_the_dialog_stays_open_where_nothing_was_found(tab: Tab):
    frame = tab.open()

    press(frame, "#paste")
    frame.fill("#addresses", "hello")
    press(frame, "#find")
    frame.wait_for_selector("#dialog[open] .missing >> text=This is not the address of a page.")

    assert frame.input_value("#addresses") == "hello"
    assert settles(frame, "document.activeElement.id === 'addresses'")


def test_a_list_pasted_into_the_search_opens_the_dialog_with_it(tab: Tab):
    frame = tab.open()
    addresses = "https://example.com/one/\nhttps://example.com/two/"

    frame.locator("#q").evaluate(PASTE, "a title\nin two lines")
    assert frame.locator("#dialog[open]").count() == 0
    frame.locator("#q").evaluate(PASTE, addresses)
    frame.wait_for_selector("#dialog[open]")

    assert frame.input_value("#addresses") == addresses
    press(frame, "#find")
    frame.wait_for_selector("#dialog[open] .missing >> text=https://example.com/two/")
    assert frame.input_value("#q") == ""
    frame.page.keyboard.press("Escape")
    assert settles(frame, "document.activeElement.id === 'q'")


def test_scheduled_pages_are_ordered_by_their_next_time(tab: Tab, alice: Person):
    sooner, later = 352, 351
    alice.unpublish(later, at="2030-01-02T10:00:00Z")
    alice.unpublish(sooner, at="2030-01-01T10:00:00Z")
    frame = tab.open()

    frame.select_option("#status", "scheduled")
    assert settles(frame, "document.querySelectorAll('#grid tbody tr').length === 2")
    press(frame, "#sort-status")
    frame.wait_for_selector("th.c-status[aria-sort=ascending]")

    rows = frame.locator("#grid tbody tr").evaluate_all("rows => rows.map(({ id }) => id)")
    assert rows == [f"page-{sooner}", f"page-{later}"]


def test_heads_order_the_list_by_keyboard_and_keep_the_focus(tab: Tab, alice: Person):
    frame = tab.open()
    keys = tab.page.keyboard
    by_number = titles(frame)

    tab_to(frame, "#sort-title")
    keys.press("Enter")
    frame.wait_for_selector("th.c-page[aria-sort=ascending]")
    assert settles(frame, "document.activeElement.id === 'sort-title'")
    upwards = titles(frame)
    keys.press("Enter")
    frame.wait_for_selector("th.c-page[aria-sort=descending]")
    downwards = titles(frame)
    assert settles(frame, "document.activeElement.id === 'sort-title'")
    keys.press("Enter")
    frame.wait_for_selector("th.c-page:not([aria-sort])")

    assert titles(frame) == by_number
    assert upwards[0] < upwards[-1]
    assert downwards[0] > downwards[-1]


def test_order_and_size_outlive_a_search_and_a_filter(tab: Tab, portal: PortalHandle):
    portal.add_pages(60, site=3)
    frame = tab.open()

    frame.select_option("#limit", "50")
    assert settles(frame, "document.querySelectorAll('#grid tbody tr').length === 50")
    press(frame, "#sort-title")
    frame.wait_for_selector("[aria-sort]")
    frame.fill("#screen", "2")
    frame.press("#screen", "Enter")
    assert settles(frame, "document.querySelector('.range').textContent.startsWith('51')")
    frame.fill("#q", "sale")
    assert settles(frame, "Number(document.querySelector('#grid').dataset.total) < 20")
    frame.fill("#q", "")

    assert settles(frame, "document.querySelectorAll('#grid tbody tr').length === 50")
    assert frame.locator("th.c-page[aria-sort=ascending]").count() == 1


def test_one_of_hundreds_of_sites_is_found_by_typing(tab: Tab, standin: StandIn):
    many_sites(standin, 600)
    frame = tab.open()
    keys = tab.page.keyboard

    tab_to(frame, "#site-search")
    keys.type("1234")
    frame.wait_for_selector("#site-search[aria-expanded=true]")
    assert frame.locator(".options [role=option]").all_text_contents() == ["Branch 1234"]
    keys.press("Enter")

    assert settles(frame, "document.querySelector('#grid').dataset.total === '3'")
    assert frame.input_value("#site-search") == "Branch 1234"
    keys.type("zzzz")
    frame.wait_for_selector(".options .none")
    keys.press("Escape")
    assert frame.input_value("#site-search") == "Branch 1234"
    frame.click("#site-search")
    frame.click(".options [role=option] >> nth=0")
    assert settles(frame, "Number(document.querySelector('#grid').dataset.total) > 3")


def test_a_site_with_folders_offers_them_and_another_does_not(tab: Tab):
    frame = tab.open()

    frame.select_option("#site", "3")
    frame.wait_for_selector("#folder")
    whole = int(frame.get_attribute("#grid", "data-total") or 0)
    frame.select_option("#folder", index=1)
    assert settles(frame, f"Number(document.querySelector('#grid').dataset.total) < {whole}")
    frame.select_option("#site", "5")

    frame.wait_for_selector("#folder", state="detached")
    assert settles(frame, "Number(document.querySelector('#grid').dataset.total) > 0")


def test_only_the_selected_pages_are_shown_and_then_all_again(tab: Tab):
    frame = tab.open()
    tick(frame, 1, 3, 5)
    chosen = [titles(frame)[row] for row in (1, 3, 5)]

    press(frame, "#show-selected")
    frame.wait_for_selector("#only-selected")
    assert titles(frame) == chosen
    press(frame, "#sort-title")
    frame.wait_for_selector("[aria-sort]")
    assert titles(frame) == sorted(chosen)
    assert selected(frame, "3 pages selected")
    tick(frame, 0)
    assert selected(frame, "2 pages selected")
    press(frame, "#show-all")

    frame.wait_for_selector("#only-selected", state="detached")
    assert int(frame.get_attribute("#grid", "data-total") or 0) > 20


def test_an_address_is_copied_and_the_button_says_so(tab: Tab, alice: Person):
    page = alice.read("/pages")["pages"][1]
    frame = tab.open()

    frame.evaluate(HEAR)
    press(frame, f"#page-{page['lid']} .copy")
    assert settles(frame, "said.includes('Address copied')")
    frame.focus("#q")
    tab.page.keyboard.press("Control+V")

    assert settles(frame, "document.querySelector('#grid').dataset.total === '1'")
    assert frame.input_value("#q") == page["url"]


def test_a_title_opens_the_page_with_its_way_to_the_editor(tab: Tab, alice: Person, portal: PortalHandle):
    page = alice.read("/pages")["pages"][1]
    frame = tab.open()

    press(frame, f"#open-{page['lid']}")
    frame.wait_for_selector(f"[data-lid='{page['lid']}']")

    assert frame.get_attribute("#editor", "href") == f"{portal.url}/sites/site/{page['site_id']}/view/{page['lid']}/"
    assert frame.get_attribute("#editor", "rel") == "noopener noreferrer"


def test_filters_that_find_something_are_reset_by_one_press(tab: Tab):
    frame = tab.open()
    everything = frame.inner_text("#total")
    frame.select_option("#status", "unpublished")
    frame.wait_for_selector("#reset-filters")
    read_aloud = frame.locator("[role=status]:has(#reset-filters), [aria-live]:has(#reset-filters)").count()

    press(frame, "#reset-filters")

    assert read_aloud == 0, "only their number is"
    assert settles(frame, "wanted => document.querySelector('#total').textContent.trim() === wanted", about=everything)
    assert frame.input_value("#status") == ""


@pytest.mark.parametrize("lang", ["en", "de"])
def test_the_first_filter_moves_neither_list_nor_search(tab: Tab, alice: Person, lang: str):
    alice.unpublish(351)
    place = "(s) => { const box = document.querySelector(s).getBoundingClientRect(); return [box.top, box.width] }"
    frame = tab.open(query=f"&lang={lang}")

    pages = [frame.evaluate(place, part) for part in ("#grid", ".search")]
    frame.select_option("#status", "unpublished")
    frame.wait_for_selector("#reset-filters")
    pages_after = [frame.evaluate(place, part) for part in ("#grid", ".search")]
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("#history .runs")
    history = [frame.evaluate(place, part) for part in ("#history", ".search")]
    frame.select_option("#by-state", "succeeded")
    frame.wait_for_selector("#reset-history")

    assert (pages_after, [frame.evaluate(place, part) for part in ("#history", ".search")]) == (pages, history)
    assert min(pages[1][1], history[1][1]) >= 250


def test_no_result_that_history_can_be_asked_for_is_cut(tab: Tab, alice: Person):
    alice.unpublish(351)
    frame = tab.open(query="&lang=de")
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("#by-state")

    wide, needed = frame.evaluate(
        "() => { const field = document.querySelector('#by-state'); const wide = field.offsetWidth;"
        "field.style.cssText = 'max-width: none; width: max-content'; return [wide, field.offsetWidth] }"
    )

    assert wide >= needed


def test_a_phone_shows_the_whole_name_of_what_was_done(tab: Tab, alice: Person, portal: PortalHandle):
    portal.change_page(351, title="Winter opening hours of the showroom and the workshop")
    alice.unpublish(351)
    tab.page.set_viewport_size({"width": 390, "height": 844})
    frame = tab.open(query="&lang=de")
    press(frame, "#tabs [data-for=history]")
    frame.wait_for_selector("#history .title")

    hidden = frame.evaluate(
        "() => { const name = document.querySelector('#history .title'); return [name.scrollWidth - name.clientWidth,"
        "name.scrollHeight - name.clientHeight] }"
    )

    assert frame.inner_text("#history .title").endswith("workshop offline nehmen")
    assert max(hidden) <= 1


def test_who_may_only_look_reads_why_before_the_list(alice: Person, bob: Person):
    only_looks, mixed = (each.fragment("GET", "/pages?limit=100").text for each in (bob, alice))

    assert 0 < only_looks.index('id="why-locked"') < only_looks.index("<table")
    assert 0 < mixed.index("<table") < mixed.index('id="why-locked"')


@pytest.mark.parametrize("width", [1280, 1920])
def test_status_and_times_are_never_cut(tab: Tab, alice: Person, portal: PortalHandle, width: int):
    lids = [page["lid"] for page in alice.read("/pages")["pages"] if page["may"]][:3]
    portal.change_page(lids[1], title="A title that is much longer than any table is wide " * 4)
    alice.unpublish(*lids, at=f"{YEAR}-09-28T22:30:00Z", until=f"{YEAR}-12-30T22:30:00Z")
    tab.page.set_viewport_size({"width": width, "height": 760})

    frame = tab.open()
    cut = frame.evaluate(
        "[...document.querySelectorAll('.c-status *, .c-date *, .c-status, .c-date, .dues *, tr:has(.due) .where a')]"
        ".filter((cell) => cell.scrollWidth > cell.clientWidth + 1 && getComputedStyle(cell).display !== 'inline')"
        ".map((cell) => cell.textContent)"
    )

    assert frame.locator(".due").count() == 6
    assert cut == []


def test_a_phone_begins_with_its_list_and_folds_the_filters_away(tab: Tab, alice: Person):
    alice.unpublish(351, at="2030-09-28T22:30:00Z")
    tab.page.set_viewport_size({"width": 390, "height": 844})
    frame = tab.open()
    height = "document.querySelector('#filters').offsetHeight"
    left = "(selector) => document.querySelector(selector).getBoundingClientRect().left"

    folded, hidden = frame.evaluate(height), not frame.is_visible("#status")
    tab_to(frame, "#filters summary")
    tab.page.keyboard.press("Enter")
    frame.select_option("#status", "published")
    frame.check("#main")
    counted = settles(frame, "document.querySelector('#filters-active').textContent === '2'")
    press(frame, "#filters summary")
    folded_again = frame.evaluate(height)
    under_badge = frame.evaluate(
        "() => { const [where, badge] = ['.where', '.badge'].map((part) => document.querySelector(`tbody ${part}`)"
        ".getBoundingClientRect()); return where.right - badge.left }"
    )
    press(frame, "#tabs [data-for=scheduled]")
    frame.wait_for_selector("#select-entries")

    assert (folded, hidden, counted, folded_again) == (folded_again, True, True, folded)
    assert folded < 64
    assert under_badge > 0
    assert frame.evaluate(left, "#select-entries") == frame.evaluate(left, ".entry input")


def test_what_helps_to_find_pages_is_accessible_and_fits(tab: Tab, standin: StandIn):
    many_sites(standin, 300)
    audit = Audit()
    frame = tab.open()

    frame.click("#site-search")
    frame.wait_for_selector(".options [role=option]")
    audit.check(frame, "sites")
    tab.page.keyboard.press("Escape")
    press(frame, "#sort-title")
    frame.wait_for_selector("[aria-sort]")
    tick(frame, 1, 2)
    press(frame, "#show-selected")
    frame.wait_for_selector("#only-selected")
    audit.check(frame, "selected")
    url = frame.get_attribute("#grid .where a", "href")
    press(frame, "#paste")
    frame.fill("#addresses", "hello")
    press(frame, "#find")
    frame.wait_for_selector("#dialog .missing")
    audit.check(frame, "paste")
    frame.fill("#addresses", f"{url}\nhello")
    press(frame, "#find")
    frame.wait_for_selector("#found")
    audit.check(frame, "found")
    open_dialog(frame)
    audit.check(frame, "confirm")

    assert audit.faults == {}
