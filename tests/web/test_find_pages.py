"""POST /pages/find: pages by the addresses that people paste."""

from html import unescape
from typing import Any

import pytest
from werkzeug.test import TestResponse

from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.people import Person, body_of

RESOLVE = "landing.landing.resolveidbypublicurl"


def find(person: Person, *addresses: str) -> dict[str, Any]:
    answer = person.post("/pages/find", list(addresses))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = body_of(answer)
    return found


def found_lids(person: Person, *addresses: str) -> list[int]:
    return [each["lid"] for each in find(person, *addresses)["found"]]


def paste(person: Person, text: str) -> TestResponse:
    """As the dialog sends it."""
    return person.fragment("POST", "/pages/find", addresses=text)


@pytest.fixture
def page(alice: Person) -> dict[str, Any]:
    """One page that is not the main page of its site."""
    found: dict[str, Any] = next(each for each in alice.read("/pages")["pages"] if not each["main"])
    return found


def test_each_address_of_the_list_is_found_without_asking_the_portal(alice: Person):
    pages = alice.read("/pages?limit=100")["pages"]
    before = alice.portal.requests()

    found = find(alice, *(page["url"] for page in pages))

    assert found["missing"] == []
    assert found["found"] == [{"address": page["url"], "lid": page["lid"], "kind": "PAGE"} for page in pages]
    assert alice.portal.requests() == before


def test_an_address_is_known_however_it_was_copied(alice: Person, page: dict[str, Any]):
    url: str = page["url"]
    bare = url.split("://")[1]
    ways = [
        f"  {url}\t", url.rstrip("/"), bare, f"//{bare}", f"https://www.{bare}", f"{url}?utm_source=mail#prices",
        url.upper(), f"<{url}>", f"Price list: {url}", f"“{url}”,", f"{url}index.php",
        f"- {bare}", f" • {bare}", f"3. {bare}",
    ]  # fmt: skip

    found = find(alice, *ways)

    assert found["missing"] == []
    assert {each["lid"] for each in found["found"]} == {page["lid"]}
    assert found["found"][0]["address"] == url


def test_addresses_come_as_a_list_a_text_or_a_form(alice: Person, page: dict[str, Any]):
    text = f"\n{page['url']}\r\n\n   \nhello\n"
    plain = alice.client.post("/pages/find", data=text, content_type="text/plain", headers=alice.headers())
    form = alice.client.post("/pages/find", data={"addresses": text}, headers=alice.headers())

    for answer in (plain, form, alice.post("/pages/find", text)):
        said = body_of(answer)
        assert [each["lid"] for each in said["found"]] == [page["lid"]]
        assert [each["address"] for each in said["missing"]] == ["hello"]
    assert find(alice) == {"found": [], "missing": []}
    assert len(found_lids(alice, page["url"], page["url"])) == 1


@pytest.mark.parametrize("sent", [{"a": 1}, [1], [None], [["x"]], 7, ["\ud800"], {"addresses": [1]}, {"addresses": {}}])
def test_what_is_no_list_of_addresses_is_refused(alice: Person, sent: object):
    assert alice.client.post("/pages/find", json=sent, headers=alice.headers()).status_code == 400


def test_a_text_counts_without_a_type_and_a_form_without_the_field_is_told(alice: Person, page: dict[str, Any]):
    untyped = alice.client.post("/pages/find", data=page["url"].encode(), headers=alice.headers())
    nameless = alice.client.post("/pages/find", data={page["url"]: ""}, headers=alice.headers())

    assert untyped.get_json()["found"][0]["lid"] == page["lid"]
    assert nameless.status_code == 400


def test_more_than_five_hundred_are_refused_in_words(alice: Person):
    few = alice.post("/pages/find", [f"https://example.com/{n}/" for n in range(500)] + ["", " "])
    many = alice.post("/pages/find", [f"https://example.com/{n}/" for n in range(501)])

    assert few.status_code == 200
    assert many.status_code == 422
    assert "501" in body_of(many)["detail"]


def test_why_an_address_is_missing_is_said(alice: Person, page: dict[str, Any]):
    strange = page["url"].rstrip("/") + "-that-is-gone/"
    missing = find(alice, "hello", "ftp://example.com/x", "https://example.com/x/", strange)["missing"]

    assert [each["why"] for each in missing] == [
        "This is not the address of a page.",
        "This is not the address of a page.",
        "No site that you can see has this address.",
        "There is no page at this address, or you have no access to it.",
    ]


def test_a_page_made_a_moment_ago_is_found_though_the_list_is_older(alice: Person, clock: TurnableClock):
    main = next(each for each in alice.read("/pages?site=3")["pages"] if each["main"])
    clock.tick(seconds=5)
    lid = alice.portal.add_pages(1, site=3)[0]

    assert found_lids(alice, f"{main['url']}{alice.portal.page(lid).code}/") == [lid]


def test_what_the_portal_answers_counts_only_for_what_the_person_sees(
    bob: Person, standin: StandIn, page: dict[str, Any]
):
    bob.portal.rights("reader", 5, [])
    hidden = next(each.id for each in bob.portal.pages("PAGE") if each.site_id == 5)
    standin.fault(0, RESOLVE, kind="wrong_field", field="result", value=hidden, times=-1)

    found = find(bob, page["url"] + "former-name/")

    assert found["found"] == []
    assert "no access" in found["missing"][0]["why"]


def test_a_former_address_is_asked_of_the_portal_and_found(alice: Person, standin: StandIn, page: dict[str, Any]):
    standin.fault(0, RESOLVE, kind="wrong_field", field="result", value=str(page["lid"]), times=-1)

    assert found_lids(alice, page["url"] + "former-name/") == [page["lid"]]


def test_hundreds_of_unknown_addresses_cost_a_request_for_fifty(alice: Person, page: dict[str, Any]):
    alice.read("/pages")
    for kind in ("KNOWLEDGE", "GROUP", "MAINPAGE"):
        alice.read(f"/pages?kind={kind}")
    before = alice.portal.requests()

    found = find(alice, *(f"{page['url']}gone-{n}/" for n in range(200)))

    assert len(found["missing"]) == 200
    assert alice.portal.requests() <= before + 4


def test_a_portal_that_cannot_resolve_still_finds_what_it_lists(alice: Person, standin: StandIn, page: dict[str, Any]):
    standin.fault(0, RESOLVE, kind="error", code="ERROR_METHOD_NOT_FOUND", status=404, times=-1)

    found = find(alice, page["url"], page["url"] + "gone/")

    assert [each["lid"] for each in found["found"]] == [page["lid"]]
    assert len(found["missing"]) == 1


def test_a_portal_that_is_unwell_is_told_and_not_taken_for_no_page(
    alice: Person, standin: StandIn, page: dict[str, Any]
):
    alice.read("/pages")
    standin.fault(0, "batch", kind="error", code="QUERY_LIMIT_EXCEEDED", status=503, times=-1)

    assert alice.post("/pages/find", [page["url"] + "gone/"]).status_code == 503


def test_knowledge_bases_are_found_with_their_kind(alice: Person):
    knowledge = alice.read("/pages?kind=KNOWLEDGE")["pages"][0]

    assert find(alice, knowledge["url"])["found"] == [
        {"address": knowledge["url"], "lid": knowledge["lid"], "kind": "KNOWLEDGE"}
    ]


def test_a_kind_that_is_refused_hides_no_other(alice: Person, standin: StandIn, page: dict[str, Any]):
    standin.fault(0, "landing.site.getlist", kind="error", code="ACCESS_DENIED", status=400, skip=1, times=-1)

    assert found_lids(alice, page["url"], page["url"] + "gone/") == [page["lid"]]


def test_the_address_of_the_editor_names_its_page(alice: Person, page: dict[str, Any]):
    editor = f"{alice.portal.url}/sites/site/{page['site_id']}/view/{page['lid']}/"

    assert found_lids(alice, editor) == [page["lid"]]
    assert find(alice, f"https://example.com/sites/site/3/view/{page['lid']}/")["found"] == []
    assert f'href="{editor}"' in alice.fragment("GET", f"/pages/{page['lid']}").text


def test_another_portals_address_is_no_site_of_mine(charlie: Person, page: dict[str, Any]):
    found = find(charlie, page["url"])

    assert found["found"] == []
    assert "Keine Website" in found["missing"][0]["why"]  # that portal speaks German


def test_a_site_on_a_domain_with_other_letters_is_found_both_ways(alice: Person, standin: StandIn):
    standin.fault(
        0, "landing.landing.getlist", kind="wrong_field", field="result.0.PUBLIC_URL", value="https://bücher.example/",
        times=1,
    )  # fmt: skip

    assert len(found_lids(alice, "https://xn--bcher-kva.example/", "bücher.example")) == 2


# --- in the page ---------------------------------------------------------------------------------------------------


def test_what_was_pasted_opens_as_a_list_of_selected_pages(alice: Person, page: dict[str, Any]):
    shown = unescape(paste(alice, f"{page['url']}\nhello").text)

    assert "1 page found and selected" in shown
    assert "1 address was not found" in shown
    assert f'data-select="{{"{page["lid"]}": true}}"' in shown.replace("&#34;", '"')
    assert f'id="page-{page["lid"]}"' in shown
    assert shown.count("<tr id=") == 1


def test_where_nothing_is_found_the_dialog_stays_and_says_why(alice: Person):
    answer = paste(alice, "hello\nhttps://example.com/<b>/")

    assert answer.headers["HX-Retarget"] == "#dialog"
    assert "No page was found" in answer.text
    assert "hello" in answer.text
    assert "<b>" not in answer.text
    assert "Paste at least one address." in paste(alice, " \n ").text


def test_pages_one_may_only_look_at_are_found_and_not_selected(bob: Person, page: dict[str, Any]):
    shown = unescape(paste(bob, page["url"]).text)

    assert "1 page found" in shown
    assert "and selected" not in shown
    assert "0 of them are selected." in shown
    assert 'data-select="{}"' in shown


def test_pages_of_another_kind_are_told_of(alice: Person, page: dict[str, Any]):
    knowledge = alice.read("/pages?kind=KNOWLEDGE")["pages"][0]
    other = next(each for each in alice.read("/pages")["pages"] if each["lid"] != page["lid"])

    shown = unescape(paste(alice, "\n".join((page["url"], other["url"], knowledge["url"]))).text)

    assert "2 pages found and selected" in shown
    assert "1 more was found in “Knowledge bases”" in shown
