"""Junk over every form and body the app takes: an answer by the contract's table, no failure, nothing done by it."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from b24app.services import Services
from b24app.store.models import Portal, Run, User, UserToken, VerifiedToken
from b24sandbox import StandIn
from tests.clocks import YEAR
from tests.people import Person

AHEAD = f"{YEAR}-01-01T10:00"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
BOUNDARY = "multipart/form-data; boundary=x"
DEEP = 100_000

# What comes where Bitrix24's own forms are taken, in words: the body and its type.
FORMS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", FORM),
    "no pairs": (b"&&&===&;;;%", FORM),
    "broken escapes": (b"AUTH_ID=%zz%f&member_id=%", FORM),
    "null bytes": (b"AUTH_ID=%00%00&member_id=a%00b&DOMAIN=a%00.example&event=X&auth[member_id]=%00", FORM),
    "raw null bytes": (b"\0" * 500, FORM),
    "no UTF-8": (b"AUTH_ID=\xff\xfe&member_id=%ff%fe&event=\xc3\x28&auth%5Bmember_id%5D=%c3%28", FORM),
    "half a surrogate": (b"AUTH_ID=%ed%a0%80&member_id=%ed%a0%80&auth%5Bmember_id%5D=%ed%a0%80", FORM),
    "deep brackets": (b"auth" + b"[a]" * 5000 + b"=1&event=ONAPPINSTALL", FORM),
    "open brackets": (b"auth" + b"[" * 20_000 + b"=1", FORM),
    "thousands of fields": (b"&".join(b"f%d=1" % n for n in range(6000)), FORM),
    "one field thousands of times": (b"&".join(b"AUTH_ID=" + b"a" * 7 + b"%d" % n for n in range(4000)), FORM),
    "a long name": (b"a" * 60_000 + b"=1", FORM),
    "JSON as a form": (b'{"AUTH_ID":"x","member_id":["y"]}', FORM),
    "another character set": ("AUTH_ID=ä".encode("utf-16"), f"{FORM}; charset=utf-16"),
    "a character set that is none": (b"AUTH_ID=x", f"{FORM}; charset=no-such-thing"),
    "parts without end": (b'--x\r\nContent-Disposition: form-data; name="AUTH_ID"\r\n\r\nabc', BOUNDARY),
    "parts without beginning": (b"abc", BOUNDARY),
    "parts without names": (b"--x\r\n\r\nabc\r\n--x--\r\n", BOUNDARY),
    "a file for a field": (
        b'--x\r\nContent-Disposition: form-data; name="AUTH_ID"; filename="a"\r\n\r\nabc\r\n--x--\r\n', BOUNDARY,
    ),
    "thousands of parts": (
        b"".join(b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n' % n for n in range(1100)) + b"--x--",
        BOUNDARY,
    ),
    "parts without boundary": (b"--x\r\n", "multipart/form-data"),
}  # fmt: skip
POSTS = ("/install", "/app", "/session", "/events")


def counted(services: Services, *tables: Any) -> int:
    with services.store.begin() as db:
        return sum(db.scalar(select(func.count()).select_from(table)) or 0 for table in tables)


def is_clear(answer: TestResponse) -> bool:
    """Words or a problem, never a trace."""
    return bool(answer.text.strip()) and "Traceback" not in answer.text and "werkzeug" not in answer.text.lower()


# --- what Bitrix24 posts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", POSTS)
def test_a_form_of_junk_is_refused_before_anybody_is_asked(
    app: Flask, standin: StandIn, services: Services, route: str
):
    for junk, (body, kind) in FORMS.items():
        answer = app.test_client().post(f"{route}?DOMAIN=acme.example", data=body, content_type=kind)

        assert answer.status_code in (400, 413), junk
        assert is_clear(answer), junk

    assert standin.oauth_asked("app.info") == 0
    assert counted(services, Portal, User, UserToken, VerifiedToken) == 0


@pytest.mark.parametrize("route", POSTS)
def test_what_is_no_form_is_no_post(app: Flask, route: str):
    for kind in (JSON, "text/plain", "", "application/xml", "multipart/mixed; boundary=x", "\t;;", "a/b"):
        answer = app.test_client().post(route, data=b'{"AUTH_ID":"x"}', content_type=kind)

        assert answer.status_code == 415, kind
        assert is_clear(answer), kind


@pytest.mark.parametrize("route", POSTS)
def test_a_form_may_have_64_kib(app: Flask, route: str):
    for size, status in ((64 * 1024, 400), (64 * 1024 + 1, 413), (300_000, 413), (5_000_000, 413)):
        answer = app.test_client().post(route, data=b"a=" + b"x" * (size - 2), content_type=FORM)

        assert answer.status_code == status, size
        assert is_clear(answer), size


@pytest.mark.parametrize("route", POSTS)
def test_a_length_that_is_none_or_not_true_is_no_failure(app: Flask, standin: StandIn, route: str):
    for said in ("-5", "abc", "1" * 400, "", "5, 6", "+3", "60000"):
        answer = app.test_client().post(
            route, data=b"AUTH_ID=" + b"a" * 40, content_type=FORM, environ_overrides={"CONTENT_LENGTH": said}
        )

        assert answer.status_code in (400, 411, 413), said

    assert standin.oauth_asked("app.info") == 0


class BrokenOff(io.RawIOBase):
    """A body whose sender goes away in the middle."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        raise ConnectionResetError(104, "gone")


@pytest.mark.parametrize("route", [*POSTS, "/runs"])
def test_a_body_that_breaks_off_is_no_failure(alice: Person, route: str):
    for kind in (FORM, BOUNDARY, JSON):
        answer = alice.client.post(
            route, content_type=kind, headers=alice.headers(),
            environ_overrides={"wsgi.input": BrokenOff(), "CONTENT_LENGTH": "500"},
        )  # fmt: skip

        assert answer.status_code in (400, 415), kind


@pytest.mark.parametrize("route", ["/install", "/app"])
def test_junk_in_the_query_of_a_genuine_post_is_refused(app: Flask, standin: StandIn, route: str):
    path, form = Person(app, standin.portals[0], "admin").frame(install=True)
    genuine = path.partition("?")[2]
    for query in (
        "DOMAIN=%00", "LANG=%00", "LANG=" + "x" * 9000, "x=%00", "DOMAIN=b.example",
        "APP_SID=" + "%00" * 50, "&".join(f"f{n}=1" for n in range(300)),
    ):  # fmt: skip
        answer = app.test_client().post(f"{route}?{genuine}&{query}", data=form)

        assert answer.status_code == 400, query

    assert standin.oauth_asked("app.info") == 0


def test_odd_placement_options_open_the_app_all_the_same(app: Flask, standin: StandIn, ada: Person):
    path, form = Person(app, standin.portals[0], "editor").frame(placement="LANDING_SETTINGS", LID="351")
    for options in (
        "[]", "undefined", "null", "{", "[" * 15_000, '{"LID":{"a":1}}', '{"LID":-1}', '{"LID":"' + "9" * 5000 + '"}',
        '{"LID":"\\ud800"}', '{"LID":"\\u0000"}', '{"LID":1e400}', '{"SITE_ID":"' + "9" * 5000 + '"}', '{"LID":true}',
    ):  # fmt: skip
        answer = app.test_client().post(path, data={**form, "PLACEMENT_OPTIONS": options})

        assert answer.status_code == 200, options


HEADERS: list[dict[str, str]] = [
    {"X-Forwarded-For": "x" * 20_000}, {"Accept-Language": "x" * 20_000}, {"Accept": ",;q=" * 5000},
    {"Authorization": "Bearer " + "x" * 50_000}, {"Authorization": "Bearer \xff"}, {"Cookie": "a=b;" * 5000},
    {"X-Request-Id": "a\tb" * 3000}, {"HX-Request": "\xff", "HX-Target": "x" * 9000},
    {"Accept-Language": "de;q=x,;q=9"}, {"Host": "evil.example"}, {"Content-Encoding": "gzip"},
    {"Transfer-Encoding": "chunked"}, {"Range": "bytes=5-1"}, {"Authorization": "Basic " + "=" * 500},
    {"If-Modified-Since": "never"}, {"Accept": "\xff/\xff"}, {"Content-Length": "9" * 30},
]  # fmt: skip


@pytest.mark.parametrize("route", [*POSTS, "/runs", "/pages", "/healthz"])
def test_headers_of_junk_are_no_failure(app: Flask, route: str):
    client = app.test_client()
    for headers in HEADERS:
        for answer in (
            client.get(route, headers=headers),
            client.post(route, headers=headers, data=b"a=b", content_type=FORM),
        ):
            assert answer.status_code < 500, headers
            assert "evil.example" not in answer.text


PATHS = (
    "/runs/%00", "/runs/../../etc/passwd", "/runs/%ff", "/pages/99999999999999999999999", "/static/../../app.py",
    "/static/%00", "/%ff%fe", "//evil.example/app", "/app%00", "/runs/" + "x" * 9000, "/pages/0", "/pages/-1",
    "/pages/1.5", "/runs/00000000-0000-0000-0000-000000000000.csv", "/%F0%9F%92%A9", "/oauth/start?domain=%00",
    "/oauth/callback?code=%00&state=%ff", "/oauth/callback?code=" + "x" * 9000,
)  # fmt: skip


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_paths_and_verbs_of_junk_are_no_failure(alice: Person, verb: str):
    for path in PATHS:
        answer = alice.client.open(path, method=verb, headers=alice.headers())

        assert answer.status_code < 500, path
        assert "evil.example" not in answer.headers.get("Location", ""), path


# --- what people and JSON clients send -------------------------------------------------------------------------------

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b'[{"action":"unpublish"}]',
    "a word": b'"unpublish"',
    "null": b"null",
    "a number": b"5",
    "deep lists": b"[" * DEEP,
    "deep objects": b'{"a":' * 30_000,
    "deep inside": b'{"action":"unpublish","lids":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "NaN": b'{"action":"unpublish","lids":[NaN]}',
    "no UTF-8": b'{"action":"unpublish","lids":[351],"reason":"\xff\xfe"}',
    "UTF-16": '{"action":"unpublish"}'.encode("utf-16"),
    "a huge number": b'{"action":"unpublish","lids":[' + b"9" * 5000 + b"]}",
}
REFUSED: dict[str, dict[str, Any]] = {
    "no action": {"lids": [351]},
    "another action": {"action": "delete", "lids": [351]},
    "an action in a list": {"action": ["unpublish"], "lids": [351]},
    "no pages": {"action": "unpublish"},
    "an empty list": {"action": "unpublish", "lids": []},
    "pages that are none": {"action": "unpublish", "lids": ["abc"]},
    "pages in an object": {"action": "unpublish", "lids": {"0": 351}},
    "a page in a page": {"action": "unpublish", "lids": [[351]]},
    "negative pages": {"action": "unpublish", "lids": [-351]},
    "page zero": {"action": "unpublish", "lids": [0]},
    "half a page": {"action": "unpublish", "lids": [351.5]},
    "a page beyond every table": {"action": "unpublish", "lids": [2**63]},
    "too many pages": {"action": "unpublish", "lids": list(range(1, 5002))},
    "another kind": {"action": "unpublish", "lids": [351], "kind": "EVERYTHING"},
    "a time that is none": {"action": "unpublish", "lids": [351], "at": "tomorrow"},
    "a time of numbers": {"action": "unpublish", "lids": [351], "at": 5},
    "a time at the end of time": {"action": "unpublish", "lids": [351], "at": "9999-12-31T23:59:59Z"},
    "a time before time": {"action": "unpublish", "lids": [351], "at": "0001-01-01T00:00:00+23:59"},
    "a zone that is none": {
        "action": "unpublish",
        "lids": [351],
        "at": AHEAD,
        "zone": "../../etc/passwd",
    },
    "a zone of nothing": {"action": "unpublish", "lids": [351], "at": AHEAD, "zone": "\0"},
    "a zone that is a folder": {"action": "unpublish", "lids": [351], "at": AHEAD, "zone": "Europe"},
    "a zone from the root": {"action": "unpublish", "lids": [351], "at": AHEAD, "zone": "/etc/passwd"},
    "a long zone": {"action": "unpublish", "lids": [351], "at": AHEAD, "zone": "Europe/" + "x" * 5000},
    "a long reason": {"action": "unpublish", "lids": [351], "reason": "x" * 501},
    "a reason with a null byte": {"action": "unpublish", "lids": [351], "reason": "a\0b"},
    "half a surrogate": {"action": "unpublish", "lids": [351], "reason": "\ud800"},
    "a reason in an object": {"action": "unpublish", "lids": [351], "reason": {"a": 1}},
}


@pytest.fixture
def untouched(alice: Person, services: Services) -> Iterator[Person]:
    """Alice, and at the end proof that nothing was done."""
    yield alice
    assert alice.portal.page(351).active
    assert counted(services, Run) == 0


@pytest.mark.parametrize("route", ["/runs", "/runs/preview"])
def test_a_body_that_cannot_be_read_is_refused(untouched: Person, route: str):
    for junk, body in BODIES.items():
        answer = untouched.client.post(route, data=body, content_type=JSON, headers=untouched.headers())

        assert answer.status_code in (400, 413, 422), junk
        assert is_clear(answer), junk
        assert answer.content_type == "application/problem+json", junk


@pytest.mark.parametrize("route", ["/runs", "/runs/preview"])
def test_an_order_that_is_none_is_refused_in_words(untouched: Person, route: str):
    for junk, order in REFUSED.items():
        answer = untouched.client.post(route, data=json.dumps(order), content_type=JSON, headers=untouched.headers())

        assert answer.status_code in (413, 422), junk
        assert answer.json is not None
        assert answer.json["detail"], junk


def test_an_order_may_have_256_kib_and_5050_fields(untouched: Person):
    large = b'{"action":"unpublish","lids":[351],"reason":"' + b" " * 262_144 + b'"}'
    many = "action=unpublish&" + "&".join(f"x{n}=1" for n in range(5100)) + "&lids=351"
    repeated = "action=unpublish&" + "&".join(f"lids={n}" for n in range(1, 5100))

    for body, kind in ((large, JSON), (large, FORM), (many, FORM), (repeated, FORM)):
        answer = untouched.client.post("/runs", data=body, content_type=kind, headers=untouched.headers())

        assert answer.status_code in (413, 422)


def test_an_order_of_thousands_of_pages_may_come_as_parts(untouched: Person):
    order = {"action": "unpublish", "lids": [str(lid) for lid in range(1, 2001)]}

    answer = untouched.client.post(
        "/runs/preview", data=order, content_type="multipart/form-data", headers=untouched.headers()
    )

    assert answer.status_code == 200, answer.text


def test_an_order_as_a_form_of_junk_is_refused(untouched: Person):
    for junk, (body, kind) in FORMS.items():
        answer = untouched.client.post("/runs", data=body, content_type=kind, headers=untouched.headers())

        assert answer.status_code in (400, 413, 422), junk


def test_a_key_that_is_none_is_refused(untouched: Person):
    for key in ("", "x" * 256, "\xff", "a\tb"):
        answer = untouched.client.post(
            "/runs", json={"action": "unpublish", "lids": [351]}, headers=untouched.headers(**{"Idempotency-Key": key})
        )

        assert answer.status_code == 422, key


QUERIES = (
    "limit=0", "limit=-1", "limit=abc", "limit=" + "9" * 5000, "limit=1e3", "limit=101", "kind=X", "kind=%00",
    "site=abc", "site=" + "9" * 400, "site=-1", "status=both", "after=%00", "after=" + "x" * 5000,
    "after=p" + "9" * 400, "after=p-1", "q=" + "x" * 100_000, "q=%ff", "q=%00", "ids_only=maybe", "from=never",
    "to=9999-12-31", "from=9999-12-31", "from=0001-01-01", "lid=abc", "user_id=" + "9" * 400, "state=%00", "items=some",
    "from=2026-11-28T25:00", "to=0001-01-01T00:00:00%2B23:59", "from=0001-01-01T00:00:00%2B23:59", "method=%00",
    "code=%ff", "limit=5&limit=x", "state=failed&state=%00", "from=%d9%a2%d9%a0%d9%a2%d9%a6-11-28",
)  # fmt: skip


@pytest.mark.parametrize("route", ["/pages", "/runs", "/runs.csv", "/log", "/log.csv"])
def test_queries_of_junk_are_answered_by_the_table(ada: Person, route: str):
    ada.opened()
    for junk in QUERIES:
        answer = ada.get(f"{route}?{junk}")

        assert answer.status_code in (200, 400, 422), junk
        assert "Traceback" not in answer.text, junk


@pytest.mark.parametrize(("verb", "route"), [
    ("PUT", "/preferences"), ("POST", "/runs/{id}/move"), ("POST", "/runs/{id}/cancel"), ("POST", "/runs/{id}/retry"),
    ("POST", "/runs/{id}/undo"), ("POST", "/runs/{id}/takeover"), ("POST", "/news/seen"), ("POST", "/health/repair"),
    ("GET", "/runs/{id}"),
])  # fmt: skip
def test_the_other_bodies_may_be_junk_too(alice: Person, verb: str, route: str):
    ordered = alice.unpublish(351, at=f"{YEAR}-01-01T10:00:00Z").json
    assert ordered is not None
    place = route.format(id=ordered["id"])
    for body, kind in [*((body, JSON) for body in BODIES.values()), *FORMS.values()]:
        answer = alice.client.open(place, method=verb, data=body, content_type=kind, headers=alice.headers())

        assert answer.status_code < 500, body[:60]
