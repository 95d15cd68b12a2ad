"""GET /log and the CSV files: what was asked of the portal, and lists for spreadsheets."""

import csv
import io

import pytest
from sqlalchemy import insert
from werkzeug.test import TestResponse

from b24app.services import Services
from b24app.store.models import ApiCall
from b24sandbox import StandIn
from tests.clocks import YEAR, TurnableClock
from tests.people import Person, run_id_of

DANGEROUS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    " =1",
    "\u00a0\u200b＝1",
    "\u2028=1",
    "\u00ad\u2003@1",
    '=HYPERLINK("http://evil","x")',
]
HARMLESS = ["plain", " x=1", "'quoted", 'with "quotes", and commas', "line\nbreak", "\u202egpj.exe", "{{7*7}}", "a=b"]


@pytest.fixture
def ada(ada: Person) -> Person:
    """The administrator, with the app open."""
    return ada.opened()


def table(answer: TestResponse) -> list[list[str]]:
    """The cells of a CSV answer, its mark taken off."""
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"), newline="")))


def titled(person: Person, titles: list[str]) -> list[int]:
    """Pages with these titles."""
    lids = person.portal.add_pages(len(titles))
    for lid, title in zip(lids, titles, strict=True):
        person.portal.change_page(lid, title=title)
    return lids


def fill(services: Services, person: Person, number: int, **facts: object) -> None:
    row = {
        "member_id": person.portal.member_id, "user_id": 7, "method": "filled", "params": "{}", "http_status": 200,
        "code": None, "seconds": 0.1, "answer": "{}", **facts,
    }  # fmt: skip
    with services.store.begin() as db:
        db.execute(insert(ApiCall), [row] * number)


# --- the log -----------------------------------------------------------------------------------------------------


def test_the_log_tells_what_was_asked_for_whom_and_what_came_back(ada: Person, alice: Person):
    alice.get("/pages")

    calls = ada.read("/log")["calls"]

    listing = next(call for call in calls if call["user_id"] == alice.user_id and "getList" in call["params"])
    assert listing["method"] == "batch"
    assert listing["http_status"] == 200
    assert listing["user"]
    assert "result" in listing["answer"]


def test_no_token_is_in_the_log(ada: Person, standin: StandIn):
    ada.get("/pages")

    text = ada.get("/log?limit=100").text

    secrets = [token.access for token in standin.world.tokens.values()] + [
        token.refresh for token in standin.world.tokens.values()
    ]
    assert secrets
    assert not [secret for secret in secrets if secret in text]


def test_the_log_is_read_in_screens_newest_first(ada: Person, services: Services):
    fill(services, ada, 120)

    first = ada.read("/log?limit=100&method=filled")
    second = ada.read(f"/log?limit=100&method=filled&after={first['next']}")

    ids = [call["id"] for call in first["calls"] + second["calls"]]
    assert (len(first["calls"]), len(second["calls"])) == (100, 20)
    assert ids == sorted(set(ids), reverse=True)
    assert second["next"] is None


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("method=filled", 3), ("method=other", 2), ("method=other&status=failed", 1), ("method=other&status=ok", 1),
        ("method=filled&user_id=7", 3), ("method=filled&user_id=1", 0), ("method=filled&from=2020-01-01", 3),
        ("method=filled&to=2020-01-01", 0), ("method=filled&from=2020-01-01T00:00:00%2B00:00", 3),
    ],
)  # fmt: skip
def test_the_filters_of_the_log(ada: Person, services: Services, query: str, number: int):
    fill(services, ada, 3)
    fill(services, ada, 1, method="other", code="ACCESS_DENIED", http_status=400)
    fill(services, ada, 1, method="other")

    assert len(ada.read(f"/log?{query}")["calls"]) == number
    assert len(table(ada.get(f"/log.csv?{query}"))) == number + 1


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "status=odd", "after=x", "from=yesterday", "user_id=-1"])
def test_a_filter_that_cannot_be_read_is_refused(ada: Person, query: str):
    assert ada.get(f"/log?{query}").status_code == 422


def test_another_portals_calls_are_nobodys_here(ada: Person, charlie: Person, services: Services):
    fill(services, charlie, 2)

    assert ada.read("/log?method=filled")["calls"] == []
    assert len(table(ada.get("/log.csv?method=filled"))) == 1


def test_a_long_log_comes_whole_as_a_file(ada: Person, services: Services):
    fill(services, ada, 1203)

    rows = table(ada.get("/log.csv?method=filled"))

    assert rows[0] == ["at", "user_id", "user", "method", "params", "http_status", "code", "seconds", "answer"]
    assert len(rows) == 1204


def test_the_log_as_a_page(ada: Person, services: Services):
    fill(services, ada, 60, params="<script>alert(1)</script>")

    page = ada.fragment("GET", "/log?method=filled")

    assert page.status_code == 200
    assert "&lt;script&gt;" in page.text
    assert "<script>" not in page.text
    assert 'id="older-calls"' in page.text


# --- files -------------------------------------------------------------------------------------------------------


def test_a_run_as_a_file_has_a_row_a_page_and_no_formula(alice: Person):
    lids = titled(alice, DANGEROUS + HARMLESS)
    run = run_id_of(alice.unpublish(*lids, at=f"{YEAR}-01-01T10:00:00Z"))

    answer = alice.get(f"/runs/{run}.csv")

    rows = table(answer)
    assert rows[0] == ["lid", "title", "site", "url", "state", "code", "detail", "was_published"]
    assert [row[1] for row in rows[1:]] == [f"'{title}" for title in DANGEROUS] + HARMLESS
    assert [row[0] for row in rows[1:]] == [str(lid) for lid in lids]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_a_long_run_comes_whole_as_a_file(alice: Person):
    lids = alice.portal.add_pages(2100)
    run = run_id_of(alice.unpublish(*lids, at=f"{YEAR}-01-01T10:00:00Z"))

    rows = table(alice.get(f"/runs/{run}.csv"))

    assert [int(row[0]) for row in rows[1:]] == lids


def test_failed_pages_alone_if_one_likes(alice: Person, work):
    good = alice.portal.add_pages(2)
    run = run_id_of(alice.unpublish(*good, 999_999))
    work()

    rows = table(alice.get(f"/runs/{run}.csv?items=failed"))

    assert [(row[0], row[4], row[5]) for row in rows[1:]] == [("999999", "failed", "LANDING_NOT_EXIST")]
    assert rows[1][5]


def test_pages_of_sites_one_cannot_read_are_not_in_the_file(alice: Person, bob: Person):
    pages = alice.portal.pages("PAGE")
    hidden_site = pages[0].site_id
    seen = next(page for page in pages if page.site_id != hidden_site)
    run = run_id_of(alice.unpublish(pages[0].id, seen.id, at=f"{YEAR}-01-01T10:00:00Z"))
    alice.portal.rights("reader", hidden_site, [])

    assert bob.read(f"/runs/{run}")["hidden"] == 1
    assert [row[0] for row in table(bob.get(f"/runs/{run}.csv"))[1:]] == [str(seen.id)]
    assert len(table(alice.get(f"/runs/{run}.csv"))) == 3


def test_the_history_as_a_file_with_its_filters(alice: Person, bob: Person):
    lid = alice.portal.add_pages(1)[0]
    done = run_id_of(alice.unpublish(lid, reason="=cmd|' /C calc'!A0"))
    set_for_later = run_id_of(alice.unpublish(lid, at=f"{YEAR}-01-01T10:00:00Z"))

    everything, scheduled = table(bob.get("/runs.csv")), table(bob.get("/runs.csv?state=scheduled"))

    head = everything[0]
    assert [row[0] for row in everything[1:]] == [set_for_later, done]
    assert [row[0] for row in scheduled[1:]] == [set_for_later]
    row = dict(zip(head, everything[2], strict=True))
    assert row["reason"] == "'=cmd|' /C calc'!A0"
    assert (row["state"], row["total"], row["succeeded"]) == ("succeeded", "1", "1")
    assert table(bob.get("/runs.csv?user_id=9"))[1:] == []


def test_a_long_history_comes_whole_as_a_file(alice: Person, services: Services):
    lid = alice.portal.add_pages(1)[0]
    for _ in range(210):
        alice.unpublish(lid, at=f"{YEAR}-01-01T10:00:00Z")

    rows = table(alice.get("/runs.csv"))

    assert len({row[0] for row in rows[1:]}) == 210


@pytest.mark.parametrize("path", ["/runs.csv?state=odd", "/runs.csv?from=x"])
def test_a_file_with_a_filter_that_cannot_be_read_is_a_problem(alice: Person, path: str):
    answer = alice.get(path, Accept="text/csv")

    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"


def test_another_portals_run_has_no_file(alice: Person, charlie: Person):
    lid = alice.portal.add_pages(1)[0]
    run = run_id_of(alice.unpublish(lid))

    assert charlie.get(f"/runs/{run}.csv").status_code == 404
    assert table(charlie.get("/runs.csv"))[1:] == []


def test_only_the_head_of_a_file_may_be_asked_for(alice: Person):
    head = alice.client.head("/runs.csv", headers=alice.headers())

    assert (head.status_code, head.data) == (200, b"")
    assert head.content_type == "text/csv; charset=utf-8"
    assert table(alice.get("/runs.csv"))[1:] == []


def test_a_file_hands_out_a_fresh_session_token_too(alice: Person, clock: TurnableClock):
    clock.tick(minutes=20)

    assert alice.get("/runs.csv").headers["Session-Token"]
