"""Every door takes what it says it takes: no guess, no coercion, no failure, whatever is in a field."""

import html
import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from b24app.domain import whole_number
from b24app.services import Services
from b24app.store.models import Run
from b24sandbox import StandIn
from tests.people import Person, body_of, run_id_of

LATER = "2030-06-01T10:00:00Z"
IN_CHUNKS = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}  # as a server says it
ODD_NUMBERS = (
    True,
    False,
    1.0,
    351.0,
    "3_5_1",
    "351.0",
    " 351",
    "+351",
    "٣٥١",
    "0x15f",
    "1e3",
    "",
    None,
    [351],
    {"a": 1},
)
FUZZ = settings(
    max_examples=60, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20), st.sampled_from([351, "351", "unpublish", "PAGE", "now", LATER, "Europe/Riga"]),
    st.sampled_from(["\ud800", "\0"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        "351",
        "-1",
        "9" * 30,
        "unpublish",
        "PAGE",
        "published",
        LATER,
        "2026-02-30",
        "Europe/Riga",
        "\0",
        "true",
        "٣",
        "a,b",
    ]
)


def form(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these fields with anything in them, beside a field nobody knows."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys([*names, "nobody_knows"], values))


def query(*names: str) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys([*names, "nobody_knows"], texts))


ORDER = ("action", "kind", "lids", "at", "until", "zone", "name", "reason", "when")
BODIES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("POST", "/pages"): ("kind", "site", "folder", "status", "main", "q", "sort", "after", "screen", "limit", "lids"),
    ("POST", "/pages/find"): ("addresses",),
    ("POST", "/runs/preview"): ORDER,
    ("POST", "/runs"): ORDER,
    ("POST", "/runs/{run}/move"): ("at", "until", "zone"),
    ("POST", "/runs/{run}/change"): ("name", "reason", "add", "remove"),
    ("POST", "/runs/reschedule"): ("ids", "days", "direction"),
    ("POST", "/runs/cancel"): ("ids",),
    ("POST", "/runs/{run}/cancel"): ("at",),
    ("POST", "/runs/{run}/retry"): ("at",),
    ("POST", "/runs/{run}/undo"): ("at",),
    ("POST", "/runs/{run}/takeover"): ("at",),
    ("POST", "/news/seen"): ("as_of",),
    ("PUT", "/preferences"): ("theme", "zone", "browser_zone", "notices"),
}
QUERIES: Mapping[str, tuple[str, ...]] = {
    "/pages": (
        "kind",
        "site",
        "folder",
        "status",
        "main",
        "q",
        "sort",
        "after",
        "screen",
        "limit",
        "ids_only",
        "any_kind",
    ),
    "/pages.csv": ("kind", "site", "folder", "status", "main", "q", "sort", "format"),
    "/runs": ("state", "lid", "user_id", "q", "from", "to", "due_from", "due_to", "after", "limit"),
    "/runs/{run}": ("items", "after", "limit"),
    "/runs/{run}.ics": ("after",),
    "/runs.ics": ("q", "due_from", "due_to"),
    "/runs/dialog": ("what", "ids", "q_pages", "add", "to", "view", "day", "q", "skip"),
    "/runs/{run}.csv": ("items", "after", "limit", "format"),
    "/runs.csv": ("state", "lid", "user_id", "q", "from", "to", "after", "limit", "format"),
    "/log": ("method", "user_id", "status", "from", "to", "after", "limit"),
    "/log.csv": ("method", "user_id", "status", "from", "to", "after", "limit"),
    "/health": ("fresh",),
    "/news": ("as_of",),
}
FRAME = (
    "AUTH_ID", "REFRESH_ID", "AUTH_EXPIRES", "member_id", "SERVER_ENDPOINT", "APPLICATION_TOKEN", "APPLICATION_SCOPE",
    "status", "PLACEMENT", "PLACEMENT_OPTIONS", "DOMAIN", "LANG", "PROTOCOL", "APP_SID",
)  # fmt: skip
EVENT = (
    "event",
    "ts",
    "auth[member_id]",
    "auth[access_token]",
    "auth[application_token]",
    "auth[domain]",
    "data[CLEAN]",
)


def orders(services: Services) -> int:
    with services.store.begin() as db:
        return db.scalar(select(func.count()).select_from(Run)) or 0


@pytest.mark.parametrize("odd", ODD_NUMBERS, ids=repr)
def test_what_is_no_number_is_no_page(alice: Person, services: Services, odd: object):
    for path in ("/runs", "/runs/preview"):
        answer = alice.post(path, {"action": "unpublish", "lids": [odd], "at": LATER})

        assert answer.status_code == 422, answer.text
    assert orders(services) == 0


@pytest.mark.parametrize("odd", ["true", "3_5_1", "1.0", " 1", "٣"])
@pytest.mark.parametrize(
    "path", ["/pages?limit={}", "/pages?site={}", "/runs?lid={}", "/runs?limit={}", "/log?after={}"]
)
def test_what_is_no_number_in_a_query_is_refused(ada: Person, path: str, odd: str):
    ada.opened()

    assert ada.get(path.format(quote(odd))).status_code == 422


@pytest.mark.parametrize("odd", [1, 1.5, True, "1700000000", 1700000000000, ["2026-01-01T00:00:00Z"]])
def test_a_moment_is_said_as_text(alice: Person, odd: object):
    assert alice.post("/news/seen", {"as_of": odd}).status_code == 422
    assert alice.post("/runs", {"action": "unpublish", "lids": [351], "at": odd}).status_code == 422


@pytest.mark.parametrize("digits", ["351", 351, "-1"])
def test_digits_are_a_number_however_they_come(digits: object):
    assert whole_number(digits) == int(str(digits))


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_no_body_makes_the_app_fail(alice: Person, services: Services, method: str, path: str):
    run = run_id_of(alice.unpublish(351, 352, at=LATER))
    where = path.format(run=run)

    @FUZZ
    @given(form(*BODIES[method, path]))
    def fuzz(body: dict[str, Any]) -> None:
        answer = alice.client.open(where, method=method, json=body, headers=alice.headers())
        assert answer.status_code < 500, (body, answer.text)
        if path == "/runs" and answer.status_code == 201:
            assert all(str(whole_number(lid)) for lid in body["lids"])

    fuzz()


@pytest.mark.parametrize("path", QUERIES)
def test_no_query_makes_the_app_fail(ada: Person, path: str):
    ada.opened()
    where = path.format(run=run_id_of(ada.unpublish(351, 352, at=LATER)))

    @FUZZ
    @given(query(*QUERIES[path]))
    def fuzz(sent: dict[str, str]) -> None:
        answer = ada.client.get(where, query_string=sent, headers=ada.headers())
        assert answer.status_code < 500, (sent, answer.text)

    fuzz()


@pytest.mark.parametrize("route", ["/app", "/install", "/session", "/events"])
def test_no_post_in_bitrix24s_name_makes_the_app_fail(app: Flask, route: str):
    @FUZZ
    @given(query(*(EVENT if route == "/events" else FRAME)), query("DOMAIN", "LANG", "PROTOCOL"))
    def fuzz(sent: dict[str, str], around: dict[str, str]) -> None:
        answer = app.test_client().post(route, data=sent, query_string=around)
        assert answer.status_code in (400, 403, 413, 415), (sent, answer.text)

    fuzz()


PROFILES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("ID", "NAME", "LAST_NAME", "ADMIN", "TIME_ZONE", "PERSONAL_GENDER"), values)
)


def test_no_profile_makes_an_opening_fail(app: Flask, standin: StandIn, ada: Person):
    person = Person(app, standin.portals[0], "editor")

    @settings(FUZZ, max_examples=40)
    @given(PROFILES)
    def fuzz(profile: dict[str, Any]) -> None:
        standin.fault(0, "profile", kind="wrong_field", field="result", value=profile)
        with app.extensions["sundown"].store.begin() as db:
            db.connection().exec_driver_sql("update users set opened_at = null")
        assert person.open().status_code == 200, profile
        standin.clear_faults()

    fuzz()


def test_an_order_in_chunks_over_the_limit_is_refused_and_never_cut(alice: Person):
    """What fits would be an order of its own; whichever server runs the app, it is not carried out."""
    body = b"action=unpublish&lids=351&junk=" + b"x" * 300_000

    answer = alice.client.post(
        "/runs", input_stream=io.BytesIO(body), content_type="application/x-www-form-urlencoded",
        headers=alice.headers(), environ_overrides=IN_CHUNKS,
    )  # fmt: skip

    assert answer.status_code == 413
    assert alice.portal.page(351).active


def test_a_form_in_chunks_over_its_limit_is_refused(app: Flask, ada: Person):
    path, sent = ada.frame()
    body = "&".join(f"{name}={value}" for name, value in sent.items()).encode() + b"&junk=" + b"x" * 70_000

    answer = app.test_client().post(
        path, input_stream=io.BytesIO(body), content_type="application/x-www-form-urlencoded",
        environ_overrides=IN_CHUNKS,
    )  # fmt: skip

    assert answer.status_code == 413


LONG, PAGE = "x" * 600, {"Accept": "text/html", "HX-Request": "true"}
ABOVE_A_LIMIT: list[tuple[str, str, Any, str, str]] = [
    ("POST", "/runs", {"lids": [*range(1, 5002)]}, "lids", "at most 5,000 pages"),
    ("POST", "/runs/preview", {"lids": [351], "reason": LONG}, "reason", "at most 500 characters"),
    ("POST", "/runs", {"lids": [351], "name": LONG}, "name", "at most 120 characters"),
    ("POST", "/runs/cancel", {"ids": [str(UUID(int=number)) for number in range(201)]}, "ids", "at most 200 entries"),
    ("GET", f"/runs?q={LONG}", None, "q", "at most 200 characters"),
    ("GET", "/runs?limit=101", None, "limit", "at most 100."),
    ("GET", "/pages?limit=0", None, "limit", "at least 1."),
    ("POST", "/runs/reschedule", {"ids": [str(UUID(int=1))], "days": 400}, "days", "at most 366."),
]


@pytest.mark.parametrize(("method", "path", "sent", "field", "limit"), ABOVE_A_LIMIT)
def test_what_passes_a_limit_is_told_the_limit(
    alice: Person, method: str, path: str, sent: dict[str, object] | None, field: str, limit: str
):
    body = None if sent is None else {"action": "unpublish", **sent}

    answer = alice.client.open(path, method=method, json=body, headers=alice.headers())
    banner = alice.client.open(path, method=method, json=body, headers=alice.headers() | PAGE)

    assert answer.status_code == 422
    assert f"“{field}”" in body_of(answer)["detail"]
    assert limit in body_of(answer)["detail"]
    assert body_of(answer)["detail"] in html.unescape(banner.text)


@pytest.mark.parametrize(("method", "path", "sent", "field"), [
    ("POST", "/runs", {"action": "unpublish", "lids": ["one"]}, "lids"),
    ("POST", "/runs", {"action": "unpublish", "lids": [2**60]}, "lids"),
    ("GET", "/runs?after=nowhere", None, "after"),
    ("POST", "/runs/cancel", {"ids": ["351"]}, "ids"),
    ("GET", f"/runs?lid={2**60}", None, "lid"),
])  # fmt: skip
def test_a_refusal_names_the_field_as_it_was_sent(alice: Person, method: str, path: str, sent: object, field: str):
    answer = alice.client.open(path, method=method, json=sent, headers=alice.headers())

    assert answer.status_code == 422
    assert body_of(answer)["detail"] == f"The field “{field}” is missing or not filled in correctly. Nothing was done."


def test_more_pages_than_fields_may_come_are_told_the_limit(alice: Person):
    answer = alice.order("unpublish", *range(1, 6001))

    assert answer.status_code == 413
    assert "More than 5,000 pages" in body_of(answer)["detail"]
