"""Each row of the contract's table of errors, met through the web: status, code, who, shape; and the same for htmx."""

from contextlib import ExitStack
from html import unescape
from typing import Any

import pytest
from sqlalchemy import func, select, text
from werkzeug.test import TestResponse

from b24app.domain import UserRef
from b24app.errors import Unavailable
from b24app.services import Services
from b24app.store.db import OVERFLOW, POOL, HurriedPool
from b24app.store.models import Run
from b24sandbox import PortalHandle, StandIn
from tests.clocks import FORWARD
from tests.people import Person

PAGE = 351
MEMBERS = {"type", "title", "status", "detail", "code", "remedy", "who", "request_id"}
# Bitrix24's code and status → our status, who can mend it
REFUSALS = [
    ("insufficient_scope", 401, 403, "administrator"),
    ("insufficient_scope", 403, 403, "administrator"),
    ("user_access_error", 401, 403, "administrator"),
    ("authorization_error", 401, 401, "administrator"),
    ("ACCESS_DENIED", 401, 403, "administrator"),
    ("WRONG_LICENSE", 403, 403, "administrator"),
    ("PAYMENT_REQUIRED", 401, 402, "administrator"),
    ("APPLICATION_NOT_FOUND", 401, 410, "administrator"),
    ("NOT_INSTALLED", 401, 410, "administrator"),
    ("ERROR_OAUTH", 401, 410, "administrator"),
    ("wrong_client", 200, 500, "operator"),
    ("invalid_client", 400, 500, "operator"),
    ("PORTAL_DELETED", 403, 503, "administrator"),
    ("PORTAL_DELETED", 500, 503, "administrator"),
    ("OVERLOAD_LIMIT", 401, 503, "bitrix24"),
    ("QUERY_LIMIT_EXCEEDED", 503, 503, "bitrix24"),
    ("OPERATION_TIME_LIMIT", 429, 503, "bitrix24"),
    ("INTERNAL_SERVER_ERROR", 500, 502, "bitrix24"),
    ("INTERNAL_SERVER_ERROR", 200, 502, "bitrix24"),
    ("SOMETHING_NEW", 400, 502, "operator"),
]
NOT_LET_IN = ("user_access_error", "authorization_error")


def problem_of(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The problem in an answer, with everything that holds for all of them."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    told: dict[str, Any] = answer.get_json(force=True)
    assert MEMBERS <= told.keys() <= MEMBERS | {"retry_after", "suggestion"}
    assert (told["status"], told["code"]) == (status, code)
    assert told["request_id"] == answer.headers["X-Request-Id"]
    assert all(told[member] for member in MEMBERS)
    return told


def runs_kept(services: Services) -> int:
    with services.store.begin() as db:
        return db.scalar(select(func.count()).select_from(Run)) or 0


# --- what we cannot do now -----------------------------------------------------------------------------------------


def test_without_a_free_connection_to_the_database_it_says_come_again(
    alice: Person, services: Services, monkeypatch: pytest.MonkeyPatch
):
    pool = services.store.engine.pool
    assert isinstance(pool, HurriedPool)
    monkeypatch.setattr(pool, "_own_timeout", 0.1)
    with ExitStack() as taken:
        for _ in range(POOL + OVERFLOW):
            taken.enter_context(services.store.engine.connect())
        told = problem_of(alice.get("/runs"), 503, "app_busy")
        with pytest.raises(Unavailable) as caught:
            services.tokens.renew(UserRef(alice.portal.member_id, alice.user_id), spent="spent")

    assert told["retry_after"] > 0
    assert not caught.value.maybe_done
    assert alice.get("/runs").status_code == 200


@pytest.mark.process
def test_what_the_database_takes_back_again_and_again_says_come_again(alice: Person, services: Services):
    with services.store.begin() as db:
        db.execute(
            text("create function busy() returns trigger language plpgsql as $$ begin raise deadlock_detected; end $$")
        )
        db.execute(text("create trigger busy before insert on runs execute function busy()"))

    told = problem_of(alice.unpublish(351, 352), 503, "app_busy")

    assert told["retry_after"] > 0
    assert runs_kept(services) == 0


# --- what Bitrix24 refuses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "http", "status", "who"), REFUSALS)
def test_a_refusal_is_a_problem_for_clients_and_a_banner_for_the_page(
    alice: Person, standin: StandIn, services: Services, code: str, http: int, status: int, who: str
):
    standin.fault(0, "batch", kind="error", code=code, status=http, description="Words of Bitrix24", times=-1)

    listed = alice.get("/pages")

    told = problem_of(listed, status, code)
    assert told["who"] == who
    if code in NOT_LET_IN:  # told at the next opening, too: tests/web/test_not_let_in.py
        assert alice.open().status_code == status
        return
    shown = alice.opened().fragment("GET", "/pages?fresh=1")
    assert (shown.status_code, shown.mimetype) == (status, "text/html")
    assert shown.headers["HX-Retarget"] == "#notices"
    assert f'data-code="{code}"' in shown.text
    assert f"<h2>{told['title']}</h2>" in unescape(shown.text)
    assert "<html" not in shown.text
    assert "Words of Bitrix24" not in listed.text + shown.text
    if http == 500:  # it may hide a change: tested below
        return
    problem_of(alice.opened().unpublish(PAGE), status, code)
    assert runs_kept(services) == 0
    assert alice.portal.page(PAGE).active


def test_a_failure_that_may_hide_a_change_is_looked_at_before_it_is_told(
    alice: Person, standin: StandIn, services: Services
):
    standin.fault(0, "batch", kind="error", code="INTERNAL_SERVER_ERROR", status=500)

    answer = alice.unpublish(PAGE)

    problem_of(answer, 502, "INTERNAL_SERVER_ERROR")
    assert alice.portal.asked("landing.landing.getList") == 2  # before it acted, since no list was at hand, and after
    assert runs_kept(services) == 0


def test_a_missing_scope_names_it_and_the_administrators_steps(alice: Person):
    alice.portal.scope(["user_brief"])

    answer = alice.get("/pages")

    told = problem_of(answer, 403, "insufficient_scope")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="landing"'
    assert "neither listed nor unpublished" in told["detail"]
    assert "Market → Installed" in told["remedy"]


def test_a_missing_scope_is_neither_renewed_nor_tried_again(alice: Person, standin: StandIn):
    alice.portal.scope(["user_brief"])
    asked = alice.portal.requests()

    alice.unpublish(PAGE)

    assert alice.portal.requests() == asked + 1
    assert standin.oauth_asked("/oauth/token/") == 0


@pytest.mark.parametrize("code", ["PORTAL_DELETED", "OVERLOAD_LIMIT", "QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT"])
def test_what_passes_says_when_to_come_again(alice: Person, standin: StandIn, code: str):
    standin.fault(0, "batch", kind="error", code=code, status=503)

    answer = alice.get("/pages")

    told = problem_of(answer, 503, code)
    assert answer.headers["Retry-After"] == str(told["retry_after"])
    assert int(told["retry_after"]) > 0


def test_a_token_that_cannot_be_renewed_asks_to_reopen(alice: Person):
    alice.portal.expire_refresh("editor")

    answer = alice.unpublish(PAGE)

    told = problem_of(answer, 401, "invalid_grant")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert "Reopen" in told["remedy"]
    assert alice.portal.page(PAGE).active


@pytest.mark.parametrize("kind", ["html", "bad_json", "empty", "close", "reset"])
def test_a_portal_that_is_unwell_is_a_bad_gateway(alice: Person, standin: StandIn, kind: str):
    standin.fault(0, "batch", kind=kind, times=-1)

    answer = alice.get("/pages")

    assert answer.status_code == 502
    assert problem_of(answer, 502, answer.get_json(force=True)["code"])["who"] == "bitrix24"
    assert "<html" not in answer.text


def test_a_portal_that_hangs_is_a_gateway_timeout(alice: Person, standin: StandIn):
    standin.fault(0, "batch", kind="html", status=504)

    problem_of(alice.get("/pages"), 504, "portal_timeout")


def test_a_dismissed_user_is_unknown_and_their_session_ends(alice: Person):
    alice.portal.forget_user("editor")

    problem_of(alice.get("/pages"), 401, "authorization_error")
    problem_of(alice.get("/pages"), 401, "session_expired")


def test_a_user_the_app_is_not_open_to(alice: Person):
    alice.portal.change_user("editor", may_use_app=False)

    problem_of(alice.get("/pages"), 403, "user_access_error")
    problem_of(alice.get("/pages"), 401, "session_expired")


def test_a_refusal_of_the_page_is_a_run_and_not_a_problem(bob: Person):
    answer = bob.unpublish(PAGE)

    assert answer.status_code == 201
    assert answer.json
    assert answer.json["items"][0]["state"] == "failed"
    assert answer.json["items"][0]["code"] == "ACCESS_DENIED"


# --- what we refuse ------------------------------------------------------------------------------------------------


def test_without_a_session(alice: Person):
    alice.token = "junk"

    answer = alice.get("/pages")

    problem_of(answer, 401, "session_expired")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/runs", {"action": "unpublish", "lids": []}, 422, "invalid"),
        ("/runs", {"action": "explode", "lids": [1]}, 422, "invalid"),
        ("/runs", {"action": "unpublish", "lids": [1], "kind": "SPACESHIP"}, 422, "invalid"),
        ("/runs", {"action": "unpublish", "lids": [0]}, 422, "invalid"),
        ("/runs", {"action": "unpublish", "lids": [1], "reason": "x" * 501}, 422, "invalid"),
        ("/runs", {"action": "unpublish", "lids": [1], "at": "2001-01-01T00:00:00Z"}, 422, "invalid"),
        ("/runs", {"action": "unpublish", "lids": [1], "at": "soon"}, 422, "invalid"),
        ("/runs", {"action": "unpublish", "lids": list(range(1, 5002))}, 422, "invalid"),
        ("/runs", {"action": "unpublish", "lids": list(range(1, 5060))}, 413, "invalid"),
        ("/runs/preview", {"lids": [1]}, 422, "invalid"),
        ("/runs", ["unpublish"], 400, "invalid"),
    ],
)  # fmt: skip
def test_an_order_that_is_not_right(alice: Person, path: str, body: object, status: int, code: str):
    problem_of(alice.post(path, body), status, code)


def test_a_time_that_the_clock_skips_comes_with_a_suggestion(alice: Person):
    answer = alice.unpublish(PAGE, at=f"{FORWARD}T02:30:00", zone="Europe/Berlin")

    assert problem_of(answer, 422, "time_does_not_exist")["suggestion"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400), (b"<x/>", "text/xml", 415), (b'{"a":1}', "text/plain", 415),
        (b"a=" + b"x" * (256 * 1024), "application/x-www-form-urlencoded", 413),
        (b'"' + b"x" * (256 * 1024) + b'"', "application/json", 413),
    ],
    ids=["half", "xml", "text", "long form", "long json"],
)  # fmt: skip
def test_what_cannot_be_read(alice: Person, content: bytes, kind: str, status: int):
    answer = alice.client.post("/runs", data=content, content_type=kind, headers=alice.headers())

    problem_of(answer, status, "invalid")


def test_more_fields_than_anybody_needs(alice: Person):
    fields = "&".join(f"lids={number}" for number in range(1, 5060))

    answer = alice.client.post(
        "/runs", data=f"action=unpublish&{fields}", headers=alice.headers(),
        content_type="application/x-www-form-urlencoded",
    )  # fmt: skip

    problem_of(answer, 413, "invalid")


def test_a_key_for_two_orders(alice: Person):
    alice.unpublish(PAGE, key="one")

    problem_of(alice.unpublish(PAGE + 1, key="one"), 422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [("/nowhere", 404, "not_found"), ("/runs/6f1f7f9e-0000-4000-8000-000000000000", 404, "not_found"),
     ("/runs/seven", 404, "not_found"), ("/pages?limit=101", 422, "invalid"),
     ("/pages/999999", 404, "LANDING_NOT_EXIST")],
)  # fmt: skip
def test_what_is_not_there(alice: Person, path: str, status: int, code: str):
    problem_of(alice.get(path), status, code)


def test_a_verb_that_a_route_does_not_know(alice: Person):
    answer = alice.client.delete("/news", headers=alice.headers())

    problem_of(answer, 405, "invalid")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_what_is_not_possible_in_this_state(alice: Person):
    done = alice.unpublish(PAGE).json
    assert done

    problem_of(alice.post(f"/runs/{done['id']}/cancel"), 409, "not_possible_now")


@pytest.mark.process  # in a database of its own, which it breaks
def test_a_crash_of_ours_says_nothing_of_its_inside(alice: Person, services: Services):
    with services.store.begin() as db:
        db.execute(text("drop table run_items"))

    answer = alice.get("/runs")

    assert problem_of(answer, 500, "internal_error")["who"] == "operator"
    assert "run_items" not in answer.text
    assert "Traceback" not in answer.text


def test_a_browser_gets_a_page_in_words(alice: Person):
    answer = alice.client.get("/pages", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert answer.status_code == 401
    assert answer.mimetype == "text/html"
    assert "Your session in this app has ended" in answer.text
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_history_is_named_only_to_who_may_have_done_something(alice: Person, portal: PortalHandle):
    portal.fault(kind="html", times=-1)

    looked, ordered = alice.get("/pages?fresh=1"), alice.unpublish(PAGE)

    said = [problem_of(each, 502, "portal_unavailable")["detail"] for each in (looked, ordered)]
    assert [words.rpartition(". ")[2] for words in said] == ["Nothing was changed.", "See History for what was done."]
