"""The walls between portals and between people, tried on every route there is.

The list of routes is the app's own URL map; a route that nobody has thought about here fails a test. The stranger is
the administrator of another portal, the strongest one there can be, with the ids of everything of Alice's portal.
"""

import base64
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from b24app.factory import create_app
from b24app.services import Services, build
from b24sandbox import StandIn
from tests.conftest import make_config
from tests.people import JSON, Person

Route = tuple[str, str]

# Who proves themselves in another way, or need not: told by tests of their own.
WITHOUT_SESSION: dict[Route, str] = {
    ("GET", "/install"): "a page for a browser outside", ("GET", "/app"): "a page for a browser outside",
    ("POST", "/install"): "proven by app.info", ("POST", "/app"): "proven by app.info",
    ("POST", "/session"): "proven by app.info", ("POST", "/events"): "proven by the application token",
    ("GET", "/oauth/start"): "only leads to the portal", ("GET", "/oauth/callback"): "proven by state and app.info",
    ("GET", "/privacy"): "open", ("GET", "/licence"): "open", ("GET", "/static/<path:filename>"): "open",
    ("GET", "/healthz"): "the operator's", ("GET", "/readyz"): "the operator's", ("GET", "/metrics"): "has a token",
}  # fmt: skip


@dataclass(frozen=True)
class Try:
    """How a stranger asks for what is Alice's, and what an answer may be."""

    statuses: tuple[int, ...]
    query: str = ""
    body: dict[str, Any] | None = field(default=None)


NOT_FOUND = (404,)
IN_WORDS = (404, 200)  # JSON says 404; the page's own view says the same in words
OWN = (200,)  # an answer about the stranger's own portal
# Ids in braces are filled in: a run that is done, one that is set for later, the stranger's wish for a page.
TRIES: dict[Route, tuple[Try, ...]] = {
    ("GET", "/pages"): (
        Try(OWN, "site={site}"), Try(OWN, "q=Spring"), Try(OWN, "after=p{lid}"), Try(OWN, "ids_only=1&site={site}"),
        Try(OWN, "kind=KNOWLEDGE"), Try(OWN, "site={site}&folder=30&sort=published"), Try(OWN, "status=scheduled"),
    ),
    ("POST", "/pages"): (Try(OWN, body={"lids": ["{lid}"]}),),
    ("GET", "/pages.csv"): (Try(OWN), Try(OWN, "site={site}&status=scheduled"), Try(OWN, "q=Spring")),
    ("GET", "/pages/find"): (Try(OWN),),
    ("POST", "/pages/find"): (Try(OWN, body={"addresses": "https://example.com/sites/site/{site}/view/{lid}/"}),),
    ("GET", "/pages/<int:lid>"): (Try(IN_WORDS), Try(IN_WORDS, "kind=PAGE&site={site}")),
    ("POST", "/runs/preview"): (Try(OWN, body={"action": "unpublish", "lids": ["{lid}"]}),),
    ("POST", "/runs"): (Try((201,), body={"action": "unpublish", "lids": ["{lid}"]}),),
    ("GET", "/runs"): (
        Try(OWN), Try(OWN, "lid={lid}"), Try(OWN, "user_id={user}"), Try(NOT_FOUND, "after={done}"),
        Try(OWN, "state=scheduled,waiting"), Try(OWN, "state=scheduled,waiting&view=month&day=2030-06-01"),
        Try(OWN, "q=Spring"), Try(OWN, "q=Secret&state=scheduled"),
    ),
    ("GET", "/runs.ics"): (Try(OWN), Try(OWN, "q=Spring&due_from=2030-01-01")),
    ("GET", "/runs/<uuid:run_id>.ics"): (Try(NOT_FOUND),),
    ("GET", "/runs/dialog"): (
        *(Try(NOT_FOUND, f"what={what}&ids={{done}}&ids={{later}}")
          for what in ("reschedule", "change", "cancel", "find")),
        Try(OWN, "what=day&day=2030-06-01"),
    ),
    ("POST", "/runs/reschedule"): (Try(NOT_FOUND, body={"ids": ["{done}", "{later}"], "days": 7}),),
    ("POST", "/runs/cancel"): (Try(NOT_FOUND, body={"ids": ["{done}", "{later}"]}),),
    ("POST", "/runs/<uuid:run_id>/change"): (Try(NOT_FOUND, body={"name": "Mine", "remove": ["{lid}"]}),),
    ("GET", "/runs.csv"): (Try(OWN), Try(OWN, "lid={lid}&user_id={user}"), Try((200, 404), "after={done}")),
    ("GET", "/runs/<uuid:run_id>"): (Try(NOT_FOUND), Try(NOT_FOUND, "items=failed")),
    ("GET", "/runs/<uuid:run_id>.csv"): (Try(NOT_FOUND),),
    ("POST", "/runs/<uuid:run_id>/cancel"): (Try(NOT_FOUND),),
    ("POST", "/runs/<uuid:run_id>/move"): (Try(NOT_FOUND, body={"at": "2031-01-01T10:00:00Z"}),),
    ("POST", "/runs/<uuid:run_id>/retry"): (Try(NOT_FOUND),),
    ("POST", "/runs/<uuid:run_id>/undo"): (Try(NOT_FOUND),),
    ("POST", "/runs/<uuid:run_id>/takeover"): (Try(NOT_FOUND),),
    ("GET", "/news"): (Try(OWN),),
    ("POST", "/news/seen"): (Try((200, 204), body={}),),
    ("GET", "/runs/<uuid:run_id>/live"): (Try(NOT_FOUND),),
    ("GET", "/runs/<uuid:run_id>/confirm"): (Try(NOT_FOUND, "what=undo"), Try(NOT_FOUND, "what=cancel")),
    ("GET", "/runs/pulse"): (Try(OWN), Try(OWN, "rows={done}.0,{later}.0")),
    ("GET", "/preferences"): (Try(OWN),),
    ("GET", "/zones"): (Try(OWN), Try(OWN, "v=351")),
    ("PUT", "/preferences"): (Try((204,), body={"theme": "dark"}),),
    ("GET", "/health"): (Try(OWN),),
    ("POST", "/health/repair"): (Try(OWN),),
    ("GET", "/log"): (Try(OWN), Try(OWN, "user_id={user}"), Try(OWN, "after=999999")),
    ("GET", "/log.csv"): (Try(OWN), Try(OWN, "user_id={user}")),
}  # fmt: skip


def url_map() -> list[Route]:
    """Every route and verb of the app; nothing is started for it."""
    environment = {
        "B24_CLIENT_ID": "app", "B24_CLIENT_SECRET": "secret", "APP_URL": "http://127.0.0.1:8100",
        "DATABASE_URL": "postgresql://nowhere/none", "SECRET_KEY": "k" * 48,
        "TOKEN_KEYS": base64.urlsafe_b64encode(b"v" * 32).decode(), "B24_ALLOW_INSECURE_PORTALS": "1",
    }  # fmt: skip
    rules = create_app(build(make_config(environment))).url_map.iter_rules()
    return sorted((verb, rule.rule) for rule in rules for verb in (rule.methods or set()) - {"HEAD", "OPTIONS"})


ROUTES = url_map()
OF_PEOPLE = [route for route in ROUTES if route not in WITHOUT_SESSION]


def test_every_route_has_its_place_here():
    assert set(ROUTES) == WITHOUT_SESSION.keys() | TRIES.keys()
    assert not WITHOUT_SESSION.keys() & TRIES.keys()


@dataclass(frozen=True)
class Alices:
    """Everything of Alice's portal a stranger could have heard of."""

    ids: dict[str, str]
    traces: tuple[str, ...]


@pytest.fixture
def stranger(app: Flask, standin: StandIn, charlie: Person) -> Person:
    """The administrator of the other portal, where a run was done, too."""
    charlie.unpublish(charlie.portal.pages("PAGE")[0].id)
    return Person(app, standin.portals[1], "admin").opened()


@pytest.fixture
def alices(alice: Person, stranger: Person) -> Alices:
    page = next(page for page in alice.portal.pages("PAGE") if page.title == "Spring sale 2026")
    done = alice.unpublish(page.id, reason="Secret reason").json
    later = alice.unpublish(page.id, at="2030-06-01T10:00:00Z", key="alices key").json
    assert done
    assert later
    person = alice.portal.user("editor")
    own = {page.id for page in stranger.portal.pages()}
    assert page.id not in own
    ids = {
        "lid": str(page.id), "site": str(page.site_id), "done": done["id"], "later": later["id"],
        "user": str(alice.user_id),
    }  # fmt: skip
    traces = (
        done["id"], later["id"], page.title, "Secret reason", person.last_name, alice.portal.domain,
        alice.portal.member_id, "alices key",
    )  # fmt: skip
    return Alices(ids, traces)


def rows_of(services: Services, member_id: str) -> str:
    """All rows of one portal, as text."""
    own = ("portals", "users", "user_tokens", "proofs", "runs", "api_calls")
    with services.store.begin() as db:
        rows = (db.execute(text(f"select * from {name} where member_id = :m"), {"m": member_id}) for name in own)
        found = [sorted(map(str, each)) for each in rows]
        items = "select run_items.* from run_items join runs on runs.id = run_id where runs.member_id = :m"
        return str([*found, sorted(map(str, db.execute(text(items), {"m": member_id})))])


def ask(person: Person, route: Route, ids: dict[str, str], how: Try, run: str, accept: str, token: str) -> TestResponse:
    verb, rule = route
    path = rule.replace("<uuid:run_id>", ids[run]).replace("<int:lid>", ids["lid"])
    headers = {"Authorization": f"Bearer {token}", "Accept": accept} if token else {"Accept": accept}
    body = None if how.body is None else {name: filled(value, ids) for name, value in how.body.items()}
    return person.client.open(f"{path}?{how.query.format(**ids)}", method=verb, json=body, headers=headers)


def filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [filled(each, ids) for each in value]
    return value.format(**ids) if isinstance(value, str) and "{" in value else value


@pytest.mark.parametrize("route", OF_PEOPLE, ids=" ".join)
def test_a_stranger_learns_and_changes_nothing(
    alice: Person, stranger: Person, alices: Alices, services: Services, route: Route
):
    before, asked = rows_of(services, alice.portal.member_id), alice.portal.requests()

    for how in TRIES[route]:
        for accept in (JSON, "text/html"):
            for run in ("done", "later"):
                answer = ask(stranger, route, alices.ids, how, run, accept, stranger.token)

                said = answer.text + str(answer.headers)
                assert answer.status_code in how.statuses, said
                assert [trace for trace in alices.traces if trace in said] == []

    assert rows_of(services, alice.portal.member_id) == before
    assert alice.portal.requests() == asked


def test_without_a_session_there_is_no_answer(alice: Person, stranger: Person, alices: Alices, services: Services):
    before, asked = rows_of(services, alice.portal.member_id), alice.portal.requests()

    opened = {
        (route, answer.status_code)
        for route in OF_PEOPLE
        for how in TRIES[route]
        for token in ("", "x.y.z")
        for answer in [ask(alice, route, alices.ids, how, "later", JSON, token)]
        if answer.status_code != 401 or any(trace in answer.text for trace in alices.traces)
    }

    assert opened == set()
    assert rows_of(services, alice.portal.member_id) == before
    assert alice.portal.requests() == asked


def test_odd_verbs_open_nothing_either(alice: Person, stranger: Person, alices: Alices, services: Services):
    before = rows_of(services, alice.portal.member_id)

    opened = {
        (verb, rule, answer.status_code)
        for _, rule in OF_PEOPLE
        for verb in {"OPTIONS", "TRACE", "GET", "POST", "PUT", "PATCH", "DELETE"} - {v for v, r in ROUTES if r == rule}
        for answer in [ask(alice, (verb, rule), alices.ids, Try(()), "done", JSON, "")]
        if answer.status_code not in (401, 405)
    }

    assert opened == set()
    assert rows_of(services, alice.portal.member_id) == before


# --- people of one portal --------------------------------------------------------------------------------------------


def test_what_a_colleague_chooses_changes_nothing_for_others(alice: Person, bob: Person):
    assert bob.put("/preferences", {"theme": "dark", "zone": "Europe/Riga"}).status_code == 204

    assert 'data-theme="light"' in alice.open().text
    assert 'data-theme="dark"' in bob.open().text


def test_a_colleagues_idempotency_key_is_another_key(alice: Person, bob: Person):
    mine = alice.unpublish(351, at="2030-06-01T10:00:00Z", key="k")
    theirs = bob.unpublish(352, at="2030-06-01T10:00:00Z", key="k")

    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json
    assert theirs.json
    assert mine.json["id"] != theirs.json["id"]


def test_the_log_and_the_health_of_a_portal_are_for_administrators(alice: Person, ada: Person):
    ada.opened()

    for path in ("/health", "/log", "/log.csv"):
        assert (alice.get(path).status_code, ada.get(path).status_code) == (403, 200)
    assert alice.post("/health/repair").status_code == 403


def test_an_administrator_is_asked_for_live(ada: Person):
    ada.opened()
    assert ada.get("/health").status_code == 200

    ada.portal.change_user("admin", admin=False)

    assert ada.get("/health").status_code == 403
