"""GET /pages: what a person may see, in which kinds, with which rights; searched, in screens, quick, theirs alone."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html import unescape
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import update

from b24app.domain import Kind, UserRef
from b24app.pages.lists import Pages
from b24app.services import Services
from b24app.store.models import Portal
from b24sandbox import StandIn
from tests.clocks import YEAR, TurnableClock, until
from tests.people import Person, body_of, run_id_of
from tests.worker import pump

MEMBERS = {
    "lid", "kind", "site_id", "site", "title", "url", "published", "main", "may", "published_at_text", "scheduled_at",
}  # fmt: skip
# Titles somebody could make trouble with
PAYLOADS = [
    "<script>alert(1)</script>", "</script><script>alert(2)</script>", "<img src=x onerror=alert(3)>",
    '"><svg onload=alert(4)>', "'><body onload=alert(5)>", "javascript:alert(6)", "{{7*7}}", "{%print(7*7)%}",
    "${7*7}", "#{7*7}", "<%= 7*7 %>", "$result[sites]", "%(name)s", "%s%s%s", "{0.__class__}", "&lt;b&gt;", "&amp;",
    "\u202egpj.exe", "\u2066isolated\u2069", "a\u0000b".replace("\u0000", ""), "\ufeffmark", "zero\u200bwidth",
    "<!--", "-->", "]]>", "<template><b>", "' onmouseover='alert(7)", '" autofocus onfocus="alert(8)',
    "=1+1", "line\nbreak", "\\u003cscript\\u003e", "🙂 日本語 العربية", "x" * 255,
]  # fmt: skip


def listed(person: Person, query: str = "") -> dict[str, Any]:
    body: dict[str, Any] = person.read(f"/pages?limit=100&{query}")
    return body


def lids(body: dict[str, Any]) -> list[int]:
    return [page["lid"] for page in body["pages"]]


def of_kind(person: Person, kind: str) -> list[int]:
    return sorted(page.id for page in person.portal.pages(kind))


def site_of(person: Person, type_: str) -> int:
    return next(site.id for site in person.portal.sites() if site.type == type_)


# --- what is listed ------------------------------------------------------------------------------------------------


def test_a_page_has_the_contracts_shape(alice: Person):
    page = listed(alice)["pages"][0]

    assert page.keys() >= MEMBERS
    assert type(page["lid"]) is int
    assert type(page["site_id"]) is int
    assert page["kind"] == "PAGE"
    assert page["url"].startswith("http")
    assert [type(page[flag]) for flag in ("published", "main", "may")] == [bool, bool, bool]
    assert page["scheduled_at"] is None


def test_a_portal_without_a_kind_has_no_pages_of_it(alice: Person):
    """It answers with its sites and stores instead: section 5.1."""
    alice.portal.switch(group_bases=False)

    assert listed(alice, "kind=GROUP") == {"pages": [], "total": 0, "next": None, "previous": None}
    assert lids(listed(alice)) == of_kind(alice, "PAGE")
    assert alice.read("/pages?kind=GROUP&ids_only=1") == {"lids": [], "total": 0}


@pytest.mark.parametrize("called", ["VIBE", "MAINPAGE"])
def test_the_main_page_of_the_portal_is_found_under_both_of_its_names(alice: Person, called: str):
    alice.portal.switch(vibe_type=called)

    assert lids(listed(alice, "kind=MAINPAGE")) == of_kind(alice, "VIBE")


def test_without_a_kind_it_is_sites_and_stores(alice: Person):
    body = listed(alice)

    assert lids(body) == of_kind(alice, "PAGE")
    assert body["total"] == len(of_kind(alice, "PAGE"))
    assert site_of(alice, "STORE") in {page["site_id"] for page in body["pages"]}


@pytest.mark.parametrize("kind", ["PAGE", "KNOWLEDGE", "GROUP", "MAINPAGE"])
def test_every_kind_is_a_list_of_its_own(alice: Person, kind: str):
    body = listed(alice, f"kind={kind}")

    assert lids(body) == of_kind(alice, kind)
    assert {page["kind"] for page in body["pages"]} == {kind}
    assert all(page["site"] for page in body["pages"])


def test_the_main_page_of_each_site_is_marked(alice: Person):
    mains = {page["lid"] for page in listed(alice)["pages"] if page["main"]}

    assert mains == {site.index_lid for site in alice.portal.sites() if site.type in ("PAGE", "STORE")}


def test_what_one_may_is_known_page_by_page(alice: Person, bob: Person):
    without_right = {page["site_id"] for page in listed(alice)["pages"] if not page["may"]}

    assert without_right == {6}  # her rights there are to read and to edit
    assert not any(page["may"] for page in listed(bob)["pages"])


def test_in_knowledge_bases_readers_may_unpublish_but_not_publish(bob: Person):
    pages = listed(bob, "kind=KNOWLEDGE")["pages"]

    assert all(page["may"] for page in pages)
    assert not any(page["may_publish"] for page in pages)


def test_who_chooses_the_other_direction_and_back_loses_no_page(bob: Person):
    mine, other = (bob.portal.add_sites(1, kind="KNOWLEDGE")[0] for _ in range(2))
    bob.portal.rights("reader", mine, ["read", "public"])
    lids = [next(page.id for page in bob.portal.pages() if page.site_id == site) for site in (mine, mine, other)]
    lids[1] = bob.portal.add_pages(1, mine)[0]
    bob.portal.change_page(lids[1], active=False)
    order = {"kind": "KNOWLEDGE", "when": "later"}
    first = bob.fragment("POST", "/runs/preview", action="unpublish", lids=lids, **order).text

    def sent(shown: str) -> dict[str, list[str]]:
        return {name: re.findall(rf'name="{name}" value="(\d+)"', shown) for name in ("lids", "left_out")}

    switched = bob.fragment("POST", "/runs/preview", action="publish", **order, **sent(first)).text
    back = bob.fragment("POST", "/runs/preview", action="unpublish", **order, **sent(switched)).text

    assert 'id="way-publish"' in first
    assert sent(first) == {"lids": [str(lid) for lid in lids], "left_out": []}
    assert sent(switched) == {"lids": [str(lid) for lid in lids[:2]], "left_out": [str(lids[2])]}, (
        "she may not publish it"
    )
    assert sent(back) == sent(first)


def test_where_the_plan_has_no_rights_everybody_may(bob: Person, standin: StandIn):
    standin.fault(0, "landing.site.getrights", kind="error", code="FEATURE_NOT_AVAIL", status=400, times=-1)

    assert all(page["may"] for page in listed(bob)["pages"])


def test_a_site_one_cannot_read_is_not_there(bob: Person):
    bob.portal.rights("reader", 3, [])

    assert 3 not in {page["site_id"] for page in listed(bob)["pages"]}


def test_pages_in_folders_are_listed_and_what_is_in_the_trash_is_not(alice: Person):
    folder = [page.id for page in alice.portal.pages("PAGE") if page.folder_id]
    in_trashed_folder = [page.id for page in alice.portal.state.pages.values() if page.folder_id == 31]
    alice.portal.change_page(351, deleted=True)

    found = lids(listed(alice))

    assert folder
    assert set(folder) <= set(found)
    assert 351 not in found
    assert in_trashed_folder
    assert not set(in_trashed_folder) & set(found)
    assert not {page.id for page in alice.portal.state.pages.values() if page.deleted} & set(found)


def test_a_folder_in_a_trashed_folder_is_in_the_trash_too(alice: Person, standin: StandIn):
    with standin.world.lock:
        folders = alice.portal.state.folders
        folders[99] = replace(folders[30], id=99, parent_id=31)
    alice.portal.change_page(351, folder_id=99)

    assert 351 not in lids(listed(alice))


def test_a_portal_that_knows_no_folders_shows_its_pages_all_the_same(alice: Person, standin: StandIn):
    standin.fault(0, "landing.site.getfolders", kind="error", code="ERROR_METHOD_NOT_FOUND", status=404, times=-1)

    assert set(of_kind(alice, "PAGE")) <= set(lids(listed(alice)))


def test_a_page_of_an_unpublished_site_keeps_its_own_flag_and_says_so(alice: Person, standin: StandIn):
    with standin.world.lock:
        sites = alice.portal.state.sites
        sites[3] = replace(sites[3], active=False)

    page = listed(alice, "site=3&status=published")["pages"][0]

    assert page["published"] is True
    assert page["site_active"] is False


def test_when_it_was_published_is_the_portals_own_text(alice: Person):
    never = alice.portal.add_pages(1)[0]
    alice.portal.change_page(never, public_at=None, active=False)

    pages = {page["lid"]: page["published_at_text"] for page in listed(alice)["pages"]}

    assert pages[never] is None
    assert isinstance(next(text for text in pages.values() if text), str)


def test_when_it_was_published_is_marked_as_the_portals_time(alice: Person):
    never = alice.portal.add_pages(1)[0]
    alice.portal.change_page(never, public_at=None, active=False)
    told = alice.read("/pages/351")["published_at_text"]

    rows = {lid: alice.fragment("GET", f"/pages?q={alice.portal.page(lid).title}").text for lid in (351, never)}
    details = {lid: alice.fragment("GET", f"/pages/{lid}").text for lid in (351, never)}

    for shown in (rows, details):
        assert re.search(rf'title="[^"]*portal time"><bdi>{told}</bdi>|title="[^"]*portal time">{told}<', shown[351])
        assert re.search(r'<span class="none"[^>]*>–</span>', shown[never])


def test_filters_that_a_phone_folds_away_are_counted(alice: Person):
    def counted(path: str, **headers: str) -> str:
        answer = alice.client.get(path, headers=alice.headers(**{"Accept": "text/html", **headers}))
        found = re.search(r'(?:id="filters-active">|hx-target="#filters-active"[^>]*>)([^<]*)<', answer.text)
        assert found
        return found[1]

    assert counted("/pages") == ""
    assert counted("/pages?q=spring") == ""
    assert counted("/pages?site=3&status=published&main=1") == "3"
    assert counted("/pages?kind=KNOWLEDGE") == "1"
    assert counted("/pages?site=3", **{"HX-Target": "div#grid"}) == "1"


def test_a_schedule_shows_at_its_page(alice: Person):
    run_id_of(alice.unpublish(351, at=f"{YEAR}-01-01T12:00:00+02:00"))

    pages = {page["lid"]: page["scheduled_at"] for page in listed(alice)["pages"]}

    assert pages[351] == f"{YEAR}-01-01T10:00:00Z"
    assert [lid for lid, at in pages.items() if at] == [351]


# --- search, filters, screens --------------------------------------------------------------------------------------


def test_a_page_is_found_by_a_part_of_its_title_in_any_case(alice: Person):
    lid = alice.portal.add_pages(1)[0]
    alice.portal.change_page(lid, title="Our Spring Offer")

    for written in ("Spring offer", "SPRING", "ring off", " spring "):
        assert lid in lids(alice.read(f"/pages?q={written}"))


def test_a_page_is_found_by_its_address_and_by_its_number(alice: Person):
    page = listed(alice)["pages"][4]
    path = page["url"].rstrip("/").rsplit("/", 1)[-1]

    assert page["lid"] in lids(listed(alice, f"q={path}"))
    assert page["lid"] in lids(listed(alice, f"q={page['lid']}"))


def test_what_matches_nothing_is_an_empty_list(alice: Person):
    assert listed(alice, "q=qqqq") == {"pages": [], "total": 0, "next": None, "previous": None}


def test_the_filters_agree_with_each_other(alice: Person):
    down = next(page["lid"] for page in listed(alice, "site=3&status=published")["pages"])
    alice.unpublish(down)

    assert lids(listed(alice, "site=3&status=unpublished")).count(down) == 1
    assert down not in lids(listed(alice, "site=3&status=published"))
    assert {page["site_id"] for page in listed(alice, "site=5")["pages"]} == {5}
    assert listed(alice, "site=5&status=published&q=qqqq")["total"] == 0


def test_empty_fields_of_the_form_mean_any(alice: Person):
    assert listed(alice, "site=&status=&q=&after=&kind=")["total"] == len(of_kind(alice, "PAGE"))


UNREADABLE = [
        "limit=0", "limit=101", "limit=-1", "limit=ten", "kind=SPACESHIP", "kind=page", "status=odd", "site=0",
        "site=-3", "site=x", "after=zzz", "after=p", "after=p1x", "after=p99999999999999999999999", "q=" + "x" * 201,
        "ids_only=perhaps",
    ]  # fmt: skip


def test_a_query_that_cannot_be_read_is_refused(alice: Person):
    answers = {query: alice.get(f"/pages?{query}") for query in UNREADABLE}

    assert {query: answer.status_code for query, answer in answers.items()} == dict.fromkeys(UNREADABLE, 422)
    assert all(answer.get_json(force=True)["code"] == "invalid" for answer in answers.values())


def test_screens_forth_and_back_show_every_page_once(alice: Person):
    everything = of_kind(alice, "PAGE")
    for limit in (1, 7, 20, 100):
        screens = [alice.read(f"/pages?limit={limit}")]
        while screens[-1]["next"]:
            screens.append(alice.read(f"/pages?limit={limit}&after={screens[-1]['next']}"))

        assert [lid for screen in screens for lid in lids(screen)] == everything
        assert all(screen["total"] == len(everything) for screen in screens)
        assert screens[0]["previous"] is None
        for before, screen in pairwise(screens):
            assert lids(alice.read(f"/pages?limit={limit}&after={screen['previous']}")) == lids(before)


def test_a_cursor_outlives_the_page_it_named(alice: Person):
    first = alice.read("/pages?limit=5")
    following = lids(alice.read(f"/pages?limit=5&after={first['next']}"))
    alice.portal.change_page(following[0], deleted=True)

    again = alice.read(f"/pages?limit=4&fresh=1&after={first['next']}")

    assert lids(again) == following[1:]


def test_only_the_numbers_of_all_that_match(alice: Person):
    body = alice.read("/pages?ids_only=1&site=3&limit=1")

    lids_of_site = [page.id for page in alice.portal.pages("PAGE") if page.site_id == 3]
    assert body == {"lids": lids_of_site, "total": len(lids_of_site)}


# --- how often Bitrix24 is asked -----------------------------------------------------------------------------------


def test_a_list_costs_two_requests_and_then_none_for_a_minute(alice: Person, clock: TurnableClock):
    before = alice.portal.requests()

    listed(alice)
    listed(alice, "q=a")
    listed(alice, "ids_only=1")

    assert alice.portal.requests() == before + 2
    clock.tick(seconds=61)
    listed(alice)
    assert alice.portal.requests() == before + 4


def test_who_watches_a_run_has_the_list_follow_it_and_not_read_anew(
    alice: Person, services: Services, standin: StandIn
):
    made = alice.portal.add_pages(70, site=3)
    with standin.world.lock:  # a site that is down, which comes back with its first page
        alice.portal.state.sites[3] = replace(alice.portal.state.sites[3], active=False)

    for order in (alice.unpublish, alice.publish):
        listed(alice, "fresh=1")
        run, looks = run_id_of(order(*made)), 0
        while alice.read(f"/runs/{run}")["state"] in ("queued", "running"):
            pump(services, most=1)
            before = alice.portal.requests()
            followed = listed(alice, "site=3")
            assert alice.portal.requests() == before
            states = {page["lid"]: page["published"] for page in followed["pages"] if page["lid"] in made}
            assert states == {lid: alice.portal.page(lid).active for lid in states}
            looks += 1
        assert looks >= 2
        assert followed == listed(alice, "site=3&fresh=1")


def test_a_change_nobody_told_of_has_the_list_read_anew(alice: Person, services: Services):
    listed(alice)
    before = alice.portal.requests()
    with services.store.begin() as db:
        db.execute(update(Portal).values(pages_version=Portal.pages_version + 1))

    listed(alice)

    assert alice.portal.requests() == before + 2


def test_a_fresh_list_is_one_in_every_process(alice: Person, services: Services, clock: TurnableClock):
    other = Pages(services.tokens, services.store, clock)  # of a process beside this one

    def title_there() -> str:
        asker = services.users.actor(UserRef(alice.portal.member_id, alice.user_id))
        return other.all_of(asker, Kind.PAGE).by_lid()[351].title

    before = title_there()
    alice.portal.change_page(351, title="Renamed in the portal")
    clock.tick(seconds=1)
    still = title_there()
    listed(alice, "fresh=1")
    asked = alice.portal.requests()

    assert before == still != "Renamed in the portal"
    assert [title_there(), title_there()] == ["Renamed in the portal"] * 2
    assert alice.portal.requests() == asked + 2, "read anew once"


def test_three_thousand_pages_are_whole_and_cost_no_more(alice: Person):
    alice.portal.add_pages(3000)
    before = alice.portal.requests()

    body = alice.read("/pages?ids_only=1")

    assert body["lids"] == of_kind(alice, "PAGE")
    assert body["total"] == len(of_kind(alice, "PAGE")) > 3000
    assert alice.portal.requests() <= before + 2


@pytest.mark.parametrize("listed_by_the_portal", [999, 1000, 6000])
def test_no_page_is_lost_where_one_request_ends(alice: Person, listed_by_the_portal: int):
    in_trashed_folder = 1
    alice.portal.add_pages(listed_by_the_portal - len(of_kind(alice, "PAGE")) - in_trashed_folder)

    assert alice.read("/pages?ids_only=1")["lids"] == of_kind(alice, "PAGE")


@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_a_page_trashed_while_the_list_is_read_hides_no_other(alice: Person, standin: StandIn, chunk: int):
    alice.portal.add_pages(1600)
    last = alice.portal.add_pages(1, site=3)[0]
    first = min(of_kind(alice, "PAGE"))
    slow = standin.fault(0, "landing.landing.getlist", kind="latency", seconds=0.5, skip=chunk)

    with ThreadPoolExecutor(1) as own:
        reading = own.submit(alice.read, "/pages?ids_only=1")
        until(lambda: slow.struck == 1)
        alice.portal.change_page(first, deleted=True)
        found = reading.result()["lids"]

    assert [lid for lid in found if lid != first] == of_kind(alice, "PAGE")
    assert last in found


def test_exactly_one_chunk_is_not_taken_for_more(alice: Person):
    alice.portal.add_pages(500 - len(of_kind(alice, "PAGE")) - 1)
    before = alice.portal.requests()

    body = alice.read("/pages?ids_only=1")

    assert body["lids"] == of_kind(alice, "PAGE")
    assert alice.portal.requests() == before + 2


@pytest.mark.parametrize("number", [60, 500, 1100])
def test_many_sites_have_their_titles_and_rights(alice: Person, standin: StandIn, number: int):
    with standin.world.lock:
        sites = alice.portal.state.sites
        sites.update({n: replace(sites[3], id=n, title=f"Site {n}") for n in range(1000, 1000 + number)})
    lid = alice.portal.add_pages(1, site=1000 + number - 1)[0]

    page = next(page for page in listed(alice, f"q={lid}")["pages"] if page["lid"] == lid)

    assert (page["site"], page["may"]) == (f"Site {1000 + number - 1}", True)


def test_of_very_many_sites_as_many_rights_are_read_as_there_is_time(bob: Person, services: Services):
    """Where nobody was asked, Bitrix24 decides; where somebody was, the list says what they may."""
    services.pages.most_seconds = 0
    bob.portal.add_sites(160)

    pages = listed(bob, "limit=100")["pages"]
    rest = listed(bob, f"limit=100&after=p{pages[-1]['lid'] + 1}")["pages"]
    may = Counter(page["may"] for page in (*pages, *rest))
    refused = bob.unpublish(next(page["lid"] for page in rest if page["may"]))

    assert may[False] > 0
    assert may[True] > 100
    assert refused.json
    assert refused.json["counts"]["failed"] == 1


def test_a_page_one_took_down_shows_so_at_once(alice: Person):
    assert next(page for page in listed(alice)["pages"] if page["lid"] == 351)["published"]

    alice.unpublish(351)

    assert not next(page for page in listed(alice)["pages"] if page["lid"] == 351)["published"]


def test_a_page_a_colleague_took_down_shows_so_at_once(alice: Person, bob: Person):
    listed(bob)

    alice.unpublish(351)

    assert not next(page for page in listed(bob)["pages"] if page["lid"] == 351)["published"]


def test_a_page_that_was_found_down_shows_so_at_once(alice: Person, bob: Person):
    listed(bob)
    alice.portal.change_page(351, active=False, public=False)

    done = body_of(alice.unpublish(351))

    assert done["items"][0]["state"] == "skipped"
    assert not next(page for page in listed(bob)["pages"] if page["lid"] == 351)["published"]


def test_what_was_read_before_a_colleagues_change_hides_it_from_no_list(
    alice: Person, bob: Person, services: Services, monkeypatch: pytest.MonkeyPatch
):
    """A batch reads page 352 as down; while it still acts on 351, a colleague's order publishes 352."""
    alice.portal.change_page(352, active=False, public=False)
    listed(bob)
    order = run_id_of(alice.unpublish(351, 352, 353))
    act = services.executor._batches.act

    def act_late(*arguments: Any, **more: Any) -> Any:
        monkeypatch.undo()
        assert body_of(alice.publish(352))["items"][0]["state"] == "succeeded"
        return act(*arguments, **more)

    monkeypatch.setattr(services.executor._batches, "act", act_late)
    pump(services)

    assert alice.read(f"/runs/{order}")["state"] == "succeeded"
    shown = {page["lid"]: page["published"] for page in listed(bob)["pages"]}
    assert (shown[351], shown[352]) == (False, True)


def test_pages_a_long_run_found_done_show_so_at_once(alice: Person, services: Services):
    made = alice.portal.add_pages(70, site=3)
    listed(alice)
    for lid in (made[0], made[60]):
        alice.portal.change_page(lid, active=False, public=False)

    run = run_id_of(alice.unpublish(*made))
    while alice.read(f"/runs/{run}")["state"] in ("queued", "running"):
        pump(services, most=1)
    before = alice.portal.requests()
    shown = {page["lid"]: page["published"] for page in listed(alice, "site=3")["pages"] if page["lid"] in made}

    assert alice.read(f"/runs/{run}")["counts"]["skipped"] == 2
    assert alice.portal.requests() == before
    assert not any(shown.values())


def test_what_is_kept_is_kept_for_one_person(alice: Person, bob: Person):
    bob.portal.rights("reader", 3, [])

    hers, his = listed(alice), listed(bob)

    assert 3 in {page["site_id"] for page in hers["pages"]}
    assert 3 not in {page["site_id"] for page in his["pages"]}
    assert all(page["may"] for page in hers["pages"] if page["site_id"] == 3)


def test_the_same_user_number_on_another_portal_is_somebody_else(alice: Person, charlie: Person):
    assert alice.user_id == charlie.user_id
    alice.portal.change_page(351, title="Only on the first portal")

    assert "Only on the first portal" in str(listed(alice))
    assert "Only on the first portal" not in str(listed(charlie))


def test_a_page_whose_date_is_an_object_is_read_all_the_same(alice: Person, standin: StandIn):
    standin.fault(
        0, "landing.landing.getlist", kind="wrong_field", field="result.0.DATE_PUBLIC", value={}, times=1
    )  # fmt: skip

    assert listed(alice)["total"] == len(of_kind(alice, "PAGE"))


# --- titles that mean harm -----------------------------------------------------------------------------------------


@pytest.fixture
def hostile(alice: Person) -> list[int]:
    """A page for each payload."""
    made = alice.portal.add_pages(len(PAYLOADS), site=3)
    for lid, title in zip(made, PAYLOADS, strict=True):
        alice.portal.change_page(lid, title=title)
    return made


def test_hostile_titles_come_through_as_they_are(alice: Person, hostile: list[int]):
    found = {page["lid"]: page["title"] for page in listed(alice, "site=3")["pages"]}

    assert [found[lid] for lid in hostile] == PAYLOADS


def test_hostile_titles_are_only_text_on_the_screen(alice: Person, hostile: list[int]):
    views = [alice.fragment("GET", "/pages?site=3&limit=100"), alice.fragment("GET", "/runs/preview")]
    views[1] = alice.client.post(
        "/runs/preview", data={"action": "unpublish", "lids": hostile},
        headers={**alice.headers(Accept="text/html"), "HX-Request": "true"},
    )  # fmt: skip

    for view in views:
        assert view.status_code == 200
        for payload in PAYLOADS:
            assert payload in unescape(view.text)
            if any(sign in payload for sign in "<>\"'"):
                assert f">{payload}<" not in view.text
        assert "<script" not in view.text
        assert "49" not in {cell.strip() for cell in view.text.replace("<", ">").split(">")}


def test_hostile_names_of_sites_are_only_text(alice: Person, standin: StandIn):
    with standin.world.lock:
        sites = alice.portal.state.sites
        sites[3] = replace(sites[3], title=PAYLOADS[0])

    assert listed(alice, "site=3")["pages"][0]["site"] == PAYLOADS[0]
    assert "<script" not in alice.fragment("GET", "/pages").text


def test_hostile_words_searched_for_are_only_text(alice: Person):
    for payload in PAYLOADS[:10]:
        answer = alice.client.get(
            "/pages", query_string={"q": payload}, headers={**alice.headers(Accept="text/html"), "HX-Request": "true"}
        )

        assert answer.status_code == 200
        assert "<script" not in answer.text
        assert payload in unescape(answer.text)
