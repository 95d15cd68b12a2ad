"""GET /pages as people look for something: words, folders, order, screens, only some pages; and the list as a file."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest

from b24sandbox import StandIn
from tests.clocks import YEAR
from tests.people import Person, run_id_of

SORTS = ("title", "site", "status", "published", "scheduled")


def listed(person: Person, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = person.read(f"/pages?limit=100&{quote(query, safe='&=%')}")["pages"]
    return found


def lids(pages: list[dict[str, Any]]) -> list[int]:
    return [page["lid"] for page in pages]


def retitle(person: Person, *titles: str, site: int = 3) -> list[int]:
    """New pages of these titles."""
    made = list(person.portal.add_pages(len(titles), site=site))
    for lid, title in zip(made, titles, strict=True):
        person.portal.change_page(lid, title=title)
    return made


@pytest.fixture
def nested(alice: Person, standin: StandIn) -> tuple[int, int, int]:
    """A folder of site 3, the page in it, and a page in a folder inside of it."""
    with standin.world.lock:
        folders = alice.portal.state.folders
        outer = folders[30]
        folders[98] = replace(outer, id=98, parent_id=outer.id, title="Archive", code="archive")
    pages = alice.portal.pages("PAGE")
    inside = next(page.id for page in pages if page.folder_id == 30)
    deeper = next(page.id for page in pages if page.site_id == outer.site_id and not page.folder_id)
    alice.portal.change_page(deeper, folder_id=98)
    return outer.site_id, inside, deeper


# --- words ---------------------------------------------------------------------------------------------------------


def test_words_find_what_is_written_otherwise(alice: Person):
    accented, turkish, russian = retitle(alice, "Cafe\u0301 um die Ecke", "İndirim", "Ёлка")

    assert accented in lids(listed(alice, "q=café"))
    assert turkish in lids(listed(alice, "q=indirim"))
    assert russian in lids(listed(alice, "q=елка"))
    assert accented in lids(listed(alice, "q=ｃａｆｅ"))


def test_every_word_counts_and_the_sites_name_is_one(alice: Person):
    lid = retitle(alice, "Spring offer", site=5)[0]
    site = next(page["site"] for page in listed(alice, "site=5"))

    assert lid in lids(listed(alice, f"q=offer {site.lower()} spring"))
    assert lid not in lids(listed(alice, "q=offer winter"))


def test_an_address_finds_its_page_whichever_way_it_was_copied(alice: Person):
    page = listed(alice)[4]
    bare = page["url"].split("://")[1]

    for copied in (page["url"], f"https://www.{bare}", f"{page['url'].rstrip('/')}", f"{page['url']}%23prices"):
        assert page["lid"] in lids(listed(alice, f"q={copied}")), copied


@pytest.mark.parametrize(("address", "reset"), [("/pages", "reset-filters"), ("/runs", "reset-history")])
def test_filters_that_leave_something_out_are_reset_at_once(alice: Person, address: str, reset: str):
    alice.unpublish(351)
    words = quote(alice.portal.page(351).title)

    everything = alice.fragment("GET", address).text
    some = alice.fragment("GET", f"{address}?q={words}").text
    nothing = alice.fragment("GET", f"{address}?q=nothing-like-this").text

    assert [shown.count(f'id="{reset}"') for shown in (everything, some, nothing)] == [0, 1, 1]


def test_an_older_screen_of_the_history_is_not_taken_for_filtered(alice: Person):
    alice.unpublish(351)
    alice.publish(351)
    newest = alice.fragment("GET", "/runs?limit=1").text
    after = re.search(r"&#34;after&#34;: &#34;([^&]+)&#34;", newest)
    assert after

    older = alice.fragment("GET", f"/runs?limit=1&after={quote(after[1])}").text

    assert "<tr id=" in older
    assert "reset-history" not in older


def test_a_search_that_is_too_long_is_told_as_what_it_is(alice: Person):
    refused = alice.get("/pages?q=" + "x" * 201)
    shown = alice.fragment("GET", "/pages").text

    assert refused.status_code == 422
    assert "201 characters" in body(refused)["detail"]
    assert "200" in body(refused)["detail"]
    assert 'maxlength="200"' in shown


def body(answer: Any) -> dict[str, Any]:
    said: dict[str, Any] = answer.get_json(force=True)
    return said


def test_a_page_without_a_title_is_called_by_its_number(alice: Person):
    lid = retitle(alice, " \u200b")[0]

    assert f"Untitled page {lid}" in alice.fragment("GET", f"/pages?q={lid}").text
    assert f"Untitled page {lid}" in alice.fragment("GET", f"/pages/{lid}").text
    preview = body(alice.post("/runs/preview", {"action": "unpublish", "lids": [lid]}))
    assert preview["items"][0]["title"] == f"Untitled page {lid}"


# --- filters -------------------------------------------------------------------------------------------------------


def test_a_folder_is_shown_with_all_that_lies_in_it(alice: Person, nested: tuple[int, int, int]):
    site, inside, deeper = nested

    assert {inside, deeper} <= set(lids(listed(alice, f"site={site}&folder=30")))
    assert lids(listed(alice, f"site={site}&folder=98")) == [deeper]
    assert listed(alice, "folder=99999") == []
    assert listed(alice, "site=5&folder=30") == []


def test_folders_are_offered_below_their_site_and_nowhere_else(alice: Person, nested: tuple[int, int, int]):
    site = nested[0]
    chosen = alice.fragment("GET", f"/pages?site={site}").text

    assert 'id="folder"' in chosen
    assert " / Archive" in chosen
    assert 'id="folder"' not in alice.fragment("GET", "/pages").text
    assert "Archive" in alice.fragment("GET", f"/pages/{nested[2]}").text


def test_where_nothing_is_found_the_kind_of_pages_is_among_what_to_try(alice: Person):
    shown = alice.fragment("GET", "/pages?q=nothing+is+called+so").text

    assert "Try another word, kind of pages, site or status." in shown


def test_a_folder_of_another_site_is_forgotten_when_the_site_changes(alice: Person, nested: tuple[int, int, int]):
    shown = alice.fragment("GET", "/pages?site=5&folder=30").text

    assert "No pages match" not in shown
    assert 'id="folder"' not in shown


def test_only_what_is_scheduled_and_only_main_pages(alice: Person):
    run_id_of(alice.unpublish(351, 352, at=f"{YEAR}-01-01T12:00:00Z"))
    mains = {site.index_lid for site in alice.portal.sites() if site.type in ("PAGE", "STORE")}

    assert lids(listed(alice, "status=scheduled")) == [351, 352]
    assert set(lids(listed(alice, "main=1"))) == mains
    assert listed(alice, "status=scheduled&main=1&q=nothing-of-this") == []


def test_sites_are_offered_in_order_of_title_and_twins_by_number(alice: Person, standin: StandIn):
    with standin.world.lock:
        sites = alice.portal.state.sites
        sites[3], sites[5] = replace(sites[3], title="Twin"), replace(sites[5], title="Twin")
        sites[6] = replace(sites[6], title="ärger")

    shown = unescape(alice.fragment("GET", "/pages").text).partition('id="site"')[2].partition("</select>")[0]

    titles = [option.partition("<")[0] for option in shown.split(">") if "</option" in option]
    assert titles[:2] == ["All sites", "ärger"]
    assert {"Twin · 3", "Twin · 5"} <= set(titles)
    assert titles[1:] == sorted(titles[1:], key=lambda title: title.lower().replace("ä", "a"))


# --- order and screens ---------------------------------------------------------------------------------------------


def test_each_order_goes_both_ways_and_ends_with_what_has_no_value(alice: Person):
    blank, sunday, monday = retitle(alice, "", "sunday", "Monday 2")
    alice.portal.change_page(blank, public_at=None, active=False)
    run_id_of(alice.unpublish(351, at=f"{YEAR}-01-02T12:00:00Z"))
    run_id_of(alice.unpublish(352, at=f"{YEAR}-01-01T12:00:00Z"))
    moments = {page.id: page.public_at for page in alice.portal.pages("PAGE")}
    values: dict[str, Callable[[dict[str, Any]], Any]] = {
        "title": lambda page: page["title"].lower() if page["title"] else None,
        "site": lambda page: page["site"].lower(),
        "status": lambda page: not page["published"],
        "published": lambda page: moments[page["lid"]] if page["published_at_text"] else None,
        "scheduled": lambda page: page["scheduled_at"],
    }

    for sort in SORTS:
        for sign in ("", "-"):
            found = [values[sort](page) for page in listed(alice, f"sort={sign}{sort}")]

            having = [value for value in found if value is not None]
            assert having == sorted(having, reverse=bool(sign)), sort
            assert found[: len(having)] == having, sort
            assert sort in ("site", "status") or None in found
    by_title = lids(listed(alice, "sort=title"))
    assert by_title.index(monday) < by_title.index(sunday) < by_title.index(blank)


@pytest.mark.parametrize("sort", ["lid", "titel", "--title", "-", "title,site", "TITLE"])
def test_an_order_nobody_knows_is_refused(alice: Person, sort: str):
    assert alice.get(f"/pages?sort={sort}").status_code == 422
    assert alice.get(f"/pages.csv?sort={sort}").status_code == 422


def test_the_order_of_publication_is_asked_of_the_portal_once(alice: Person):
    alice.portal.add_pages(1200)
    listed(alice)
    before = alice.portal.requests()

    first = lids(listed(alice, "sort=published"))
    assert lids(listed(alice, "sort=-published"))[:1] != first[:1]

    assert alice.portal.requests() == before + 1


@pytest.mark.parametrize("sort", ["", "-title", "published", "status"])
def test_screens_in_any_order_show_every_page_once_forth_and_back(alice: Person, sort: str):
    everything = alice.read(f"/pages?ids_only=1&sort={sort}")["lids"]
    screens = [alice.read(f"/pages?limit=7&sort={sort}")]
    while screens[-1]["next"]:
        screens.append(alice.read(f"/pages?limit=7&sort={sort}&after={screens[-1]['next']}"))

    assert [page["lid"] for screen in screens for page in screen["pages"]] == everything
    assert sorted(everything) == sorted(page.id for page in alice.portal.pages("PAGE"))
    back = alice.read(f"/pages?limit=7&sort={sort}&after={screens[-1]['previous']}")
    assert back["pages"] == screens[-2]["pages"]


def test_in_an_order_a_cursor_outlives_the_page_it_named(alice: Person):
    first = alice.read("/pages?limit=5&sort=title")
    following = lids(alice.read(f"/pages?limit=5&sort=title&after={first['next']}")["pages"])
    alice.portal.change_page(following[0], deleted=True)

    again = alice.read(f"/pages?limit=4&sort=title&fresh=1&after={first['next']}")

    assert lids(again["pages"]) == following[1:]


def test_a_screen_is_reached_by_its_number_and_the_last_by_any_beyond(alice: Person):
    everything = alice.read("/pages?ids_only=1")["lids"]

    assert lids(alice.read("/pages?limit=20&screen=2")["pages"]) == everything[20:40]
    assert lids(alice.read("/pages?limit=20&screen=999")["pages"]) == everything[len(everything) // 20 * 20 :]
    assert alice.get("/pages?screen=0").status_code == 422


def test_another_size_keeps_the_place(alice: Person):
    shown = alice.fragment("GET", "/pages?limit=20&screen=2").text

    assert 'name="limit" form="filters"' in shown
    there = unescape(shown.partition('id="limit"')[2].partition(">")[0])
    assert alice.read("/pages?ids_only=1")["lids"][20] == int(there.partition('"after": "p')[2].partition('"')[0])


# --- only these pages ----------------------------------------------------------------------------------------------


def test_only_selected_pages_are_shown_in_any_order_and_with_filters(alice: Person):
    chosen = [page["lid"] for page in listed(alice)][2:9]

    body_ = body(alice.post("/pages", {"lids": chosen, "sort": "-title", "limit": 5}))

    assert body_["total"] == 7
    assert len(body_["pages"]) == 5
    assert {page["lid"] for page in body_["pages"]} <= set(chosen)
    assert body(alice.post("/pages", {"lids": chosen, "q": str(chosen[0])}))["total"] == 1
    assert alice.post("/pages", {"lids": list(range(1, 5002))}).status_code == 422


def test_nobody_is_shown_a_selected_page_they_may_not_see(bob: Person):
    bob.portal.rights("reader", 3, [])

    assert body(bob.post("/pages", {"lids": [351, 352]}))["total"] == 0


# --- as a file -----------------------------------------------------------------------------------------------------


def test_the_list_is_a_file_for_programs_with_its_filters_and_order(alice: Person):
    run_id_of(alice.unpublish(351, at=f"{YEAR}-01-02T12:00:00Z"))
    answer = alice.get("/pages.csv?site=3&sort=-title")

    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert [int(row["lid"]) for row in rows] == alice.read("/pages?ids_only=1&site=3&sort=-title")["lids"]
    assert {row["lid"]: row["scheduled_at"] for row in rows}["351"] == f"{YEAR}-01-02T12:00:00Z"
    assert {row["published"] for row in rows} <= {"true", "false"}


def test_the_list_is_a_file_for_people(alice: Person):
    lid = retitle(alice, "=1+1")[0]
    headers = {"Authorization": f"Bearer {alice.token}", "Accept": "text/csv", "HX-Request": "true"}

    answer = alice.client.get(f"/pages.csv?q={lid}", headers=headers)

    row = next(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert (row["Page"], row["Status"], row["Main page"]) == ("'=1+1", "Published", "No")
    assert "Sundown pages 20" in answer.headers["Content-Disposition"]
